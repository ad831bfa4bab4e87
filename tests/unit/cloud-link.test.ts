import { CloudLink } from '@tandem/edge/testing';
import { encodeMessage, limits, TandemError } from '@tandem/shared';
import { beforeEach, describe, expect, test } from 'vitest';
import { FakeServer } from '../support/fake-server.js';
import { flip } from '../support/flip.js';
import { createLinkBench, type LinkBench, startLinkBench, UNAVAILABLE_AFTER_MS } from '../support/link-bench.js';
import { ManualClock, settle } from '../support/manual-clock.js';

describe('a link', () => {
  let bench: LinkBench;
  beforeEach(async () => {
    bench = createLinkBench();
    bench.link.start();
    await settle();
  });

  test('says session-open first and is open with the answer, not before', () => {
    const { server, link } = bench;
    server.last.handlers.opened();
    expect(server.last.sent.map(({ kind }) => kind)).toEqual(['session-open']);
    expect(link.state).toBe('connecting');
    server.last.reply('session-opened', { epoch: 0, length: 0, forwardsInFlight: 2 });
    expect(link.state).toBe('open');
    expect(bench.clock.pending).toBe(0);
  });

  test('tries again at once after a loss, then with growing delays', async () => {
    const { server, clock } = bench;
    server.last.accept();
    await clock.advance(limits.LINK_STABLE_MS);
    server.last.lose();
    await clock.advance(0);
    expect(server.connections).toHaveLength(2);
    // Half of 200 ms, 400 ms, 800 ms: the ceiling doubles with every failure.
    for (const [failure, delayMs] of [100, 200, 400].entries()) {
      server.last.lose();
      await clock.advance(delayMs - 1);
      expect(server.connections).toHaveLength(2 + failure);
      await clock.advance(1);
      expect(server.connections).toHaveLength(3 + failure);
    }
  });

  test('does not storm a server that opens sessions and drops them', async () => {
    const { server, clock, link } = bench;
    for (const delayMs of [0, 200, 400, 800]) {
      const connections = server.connections.length;
      server.last.accept();
      server.last.lose();
      await clock.advance(Math.max(0, delayMs - 1));
      if (delayMs > 0) expect(server.connections).toHaveLength(connections);
      await clock.advance(1);
      expect(server.connections).toHaveLength(connections + 1);
    }
    expect(link.state).toBe('unavailable');
  });

  test('tries again at once whenever a connection has brought an answer, however short it was', async () => {
    const { server, clock, link } = bench;
    for (let cut = 1; cut <= 2 * limits.RECONNECT_ATTEMPTS_MAX; cut++) {
      server.last.accept();
      server.last.reply('credit', { epoch: 0, length: 0 });
      server.last.lose();
      await clock.advance(0);
      expect([server.connections.length, link.state]).toEqual([1 + cut, 'connecting']);
    }
  });

  test('waits as long as a busy server asks for', async () => {
    const { server, clock } = bench;
    server.last.accept();
    server.last.reply('error', { code: 'SERVER_BUSY', message: 'full', retryAfterMs: 3_000 });
    await clock.advance(2_999);
    expect(server.connections).toHaveLength(1);
    await clock.advance(1);
    expect(server.connections).toHaveLength(2);
  });

  test('never waits longer than the ceiling', async () => {
    const { server, clock } = bench;
    for (let attempt = 1; attempt <= 30; attempt++) {
      server.last.lose();
      await clock.advance(limits.RECONNECT_DELAY_MS_MAX / 2);
      expect(server.connections.length).toBe(attempt + 1);
    }
  });

  test('is unavailable after so many failures, goes on in the background, and comes back', async () => {
    const { server, clock, link, states } = bench;
    for (let attempt = 1; attempt < limits.RECONNECT_ATTEMPTS_MAX; attempt++) {
      server.last.lose();
      await clock.advance(limits.RECONNECT_DELAY_MS_MAX);
    }
    expect(link.state).toBe('connecting');
    server.last.lose();
    expect(link.state).toBe('unavailable');
    await clock.advance(limits.RECONNECT_DELAY_MS_MAX);
    expect(link.state).toBe('unavailable');
    server.last.accept();
    expect(link.state).toBe('open');
    expect(states).toEqual(['connecting', 'unavailable', 'open']);
  });

  test('takes an attempt that hangs for failed, and ignores what its transport says later', async () => {
    const { server, clock, link } = bench;
    const hanging = server.last;
    await clock.advance(limits.CONNECT_TIMEOUT_MS + 100);
    expect(server.connections).toHaveLength(2);
    expect(hanging.isClosed).toBe(true);
    hanging.accept();
    hanging.lose(new TandemError('UNAUTHORIZED', 'late'));
    expect(link.state).toBe('connecting');
    expect(server.last.sent).toEqual([]);
  });

  test.each([
    ['damaged', Uint8Array.of(1, 2, 3)],
    ['too large, says a flipped bit in its length,', flip(encodeMessage('ping', { nonce: 1 }), 11, 0x80)],
  ])('starts over when a frame is %s', async (_what, frame) => {
    const { server, clock, link } = bench;
    server.last.accept();
    server.last.handlers.received(frame);
    expect(link.state).toBe('connecting');
    await clock.advance(0);
    server.last.accept();
    expect(link.state).toBe('open');
  });

  test('starts over when the server was sent a damaged frame, and says so', async () => {
    const { server, link } = bench;
    server.last.accept();
    server.last.reply('error', { code: 'MALFORMED_FRAME', message: 'MALFORMED_FRAME: the checksum does not match' });
    await bench.clock.advance(0);
    expect([server.connections.length, link.state]).toEqual([2, 'connecting']);
  });

  test('fails for good where trying again cannot help', async () => {
    const { server, clock, link, failures } = bench;
    server.last.handlers.opened();
    server.last.reply('error', { code: 'MODEL_MISMATCH', message: 'MODEL_MISMATCH: other model' });
    expect(link.state).toBe('failed');
    expect(failures.at(-1)).toMatchObject({ code: 'MODEL_MISMATCH', message: 'MODEL_MISMATCH: other model' });
    await clock.advance(100_000);
    expect(server.connections).toHaveLength(1);
    expect(clock.pending).toBe(0);
  });

  test('asks again after a refused handshake, which may be a flipped bit, and believes the last of several in a row', async () => {
    const { server, clock, link, failures } = bench;
    const refusal = new TandemError('UNAUTHORIZED', 'answered 401');
    const refuse = async () => {
      server.last.lose(refusal);
      await clock.advance(limits.RECONNECT_DELAY_MS_MAX);
    };
    for (let times = 1; times < limits.HANDSHAKE_REFUSALS_MAX; times++) await refuse();
    expect([link.state, link.lastError?.code]).toEqual(['connecting', 'CLOUD_UNAVAILABLE']);
    server.last.accept();
    server.last.lose();
    await clock.advance(limits.RECONNECT_DELAY_MS_MAX);
    // Counted from the last connection that opened.
    for (let times = 1; times < limits.HANDSHAKE_REFUSALS_MAX; times++) await refuse();
    expect(link.state).not.toBe('failed');
    const connections = server.connections.length;
    await refuse();
    expect([link.state, failures.at(-1)]).toEqual(['failed', refusal]);
    expect([server.connections.length, clock.pending]).toEqual([connections, 0]);
  });

  test('tries again after an error that is retryable, and after a drain', async () => {
    const { server, clock, link } = bench;
    server.last.accept();
    server.last.reply('error', { code: 'SERVER_BUSY', message: 'full' });
    expect(link.lastError?.code).toBe('SERVER_BUSY');
    await clock.advance(limits.RECONNECT_DELAY_MS_MAX);
    server.last.accept();
    server.last.reply('drain', { deadlineMs: 10 });
    // Not at once and not all at the same moment: the server serves on until then.
    expect(link.state).toBe('open');
    await clock.advance(10);
    expect(server.connections).toHaveLength(3);
  });

  test('answers pings, hands on the rest, counts bytes', () => {
    const { server, link, messages } = bench;
    server.last.accept();
    server.last.reply('ping', { nonce: 7 });
    server.last.reply('credit', { epoch: 0, length: 3 });
    expect(server.last.sentOf('pong')).toEqual([{ nonce: 7 }]);
    expect(messages.map(({ kind }) => kind)).toEqual(['credit']);
    const bytesDown = ['session-opened', 'ping', 'credit'].length * 16;
    expect(link.transfer.bytesDown).toBeGreaterThan(bytesDown);
    expect(link.transfer.connections).toBe(1);
  });

  test('closes once, says so, and leaves no timer', async () => {
    const { server, link, clock, states } = bench;
    server.last.accept();
    link.close();
    link.close();
    expect(server.last.sentOf('session-close')).toHaveLength(1);
    expect(states.filter((state) => state === 'closed')).toHaveLength(1);
    expect(clock.pending).toBe(0);
    server.last.lose();
    link.reconnect();
    await clock.advance(100_000);
    expect(server.connections).toHaveLength(1);
  });
});

test('a link that is not open within unavailableAfterMs is unavailable, however few attempts were made', async () => {
  const { clock, link } = startLinkBench({ unavailableAfterMs: 500 });
  await clock.advance(499);
  expect(link.state).toBe('connecting');
  await clock.advance(1);
  expect(link.state).toBe('unavailable');
});

test('an outage is counted from the loss, not from the start', async () => {
  const { clock, link, server } = startLinkBench({ unavailableAfterMs: 500 });
  await settle();
  server.last.accept();
  await clock.advance(10_000);
  expect(link.state).toBe('open');
  server.last.lose();
  await clock.advance(499);
  expect(link.state).toBe('connecting');
  await clock.advance(1);
  expect(link.state).toBe('unavailable');
});

test('a credential that cannot be minted is no outage', async () => {
  const { link } = startLinkBench({ connect: () => Promise.reject(new Error('no key')) });
  await settle();
  expect(link.state).toBe('failed');
  expect(link.lastError).toMatchObject({ code: 'UNAUTHORIZED', cause: new Error('no key') });
});

test('closing while a credential is minted dials nobody', async () => {
  const server = new FakeServer();
  let minted: (connect: FakeServer['connect']) => void = () => {};
  const { link, clock } = startLinkBench({
    connect: () =>
      new Promise((resolve) => {
        minted = resolve;
      }),
  });
  link.close();
  minted(server.connect);
  await settle();
  expect(server.connections).toEqual([]);
  expect(clock.pending).toBe(0);
});

test('jitter spreads the delays over the whole range', async () => {
  const { limits: drawn } = await drawDelays([0, 0.999]);
  expect(drawn).toEqual([0, 199]);
});

/** First delay after a failed first attempt, for each random number, in whole milliseconds. */
async function drawDelays(numbers: number[]): Promise<{ limits: number[] }> {
  const delays: number[] = [];
  for (const number of numbers) {
    const clock = new ManualClock();
    const server = new FakeServer();
    const link = new CloudLink({
      connect: async () => server.connect,
      unavailableAfterMs: UNAVAILABLE_AFTER_MS,
      clock,
      random: { next: () => number },
      handlers: {
        openMessage: () => ({ model: '', format: '', context: 'rows', codec: '', capacity: 1, epoch: 0 }),
        opened: () => {},
        message: () => {},
        stateChanged: () => {},
      },
    });
    link.start();
    await settle();
    server.last.lose();
    let waitedMs = 0;
    for (await clock.advance(0); server.connections.length < 2; waitedMs++) await clock.advance(1);
    delays.push(Math.max(0, waitedMs - 1));
    link.close();
  }
  return { limits: delays };
}
