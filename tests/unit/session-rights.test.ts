import { limits } from '@tandem/shared';
import { describe, expect, it } from 'vitest';
import { forward, SessionBench, truth } from '../support/session-bench.js';
import { quiet } from '../support/wire-client.js';

function counting(): () => string {
  let drawn = 0;
  return () => `token-${++drawn}`;
}

describe('resume token', () => {
  async function begun() {
    const bench = new SessionBench({ drawResumeToken: counting(), resumeWindowMs: 4 * 3_600_000 });
    const { client, pipe } = await bench.open();
    forward(client, 1, 0, 6);
    await quiet();
    return { bench, client, pipe, resume: client.last('session-opened')!.resume };
  }

  it('gives the session back, and is another one each time', async () => {
    const { bench, pipe, resume } = await begun();
    let token = resume;
    let last = pipe;
    for (let round = 1; round < 4; round++) {
      last.cut();
      await quiet();
      await bench.clock.advance(3_600_000);
      const next = await bench.open({ epoch: round, resume: token });
      expect(next.client.last('session-opened')?.length).toBe(6);
      expect(next.client.last('session-opened')?.resume).not.toBe(token);
      token = next.client.last('session-opened')?.resume;
      last = next.pipe;
    }
  });

  it.each([
    ['an old one', async (): Promise<string | undefined> => 'token-1'],
    ['none', async () => undefined],
    ['a guess', async () => 'token-9'],
  ])('%s gets an empty session, and the one that was there is revoked', async (_, token) => {
    const { bench, pipe, resume } = await begun();
    pipe.cut();
    await quiet();
    const owner = await bench.open({ epoch: 1, resume });
    const presented = await token();
    const thief = await bench.open({ epoch: 2, ...(presented === undefined ? {} : { resume: presented }) });
    expect(thief.client.last('session-opened')?.length).toBe(0);
    expect(owner.client.last('error')?.code).toBe('SESSION_TAKEN');
    forward(thief.client, 3, 6, 8, { want: [7] });
    await quiet();
    expect(thief.client.last('context-rewind')).toEqual({ epoch: 3, length: 0 });
    expect(bench.host.sessions).toBe(1);
    expect(bench.engine.sessions.size).toBe(0);
  });

  it('has one winner when a hundred come with it', async () => {
    const { bench, pipe, resume } = await begun();
    pipe.cut();
    await quiet();
    const racers = await Promise.all(Array.from({ length: 100 }, () => bench.open({ epoch: 1, resume })));
    const lengths = racers.map(({ client }) => client.last('session-opened')?.length);
    expect(lengths.filter((length) => length === 6)).toHaveLength(1);
    expect(racers.filter(({ client }) => !client.closed)).toHaveLength(1);
  });

  it('is not asked for where the host draws none', async () => {
    const bench = new SessionBench();
    const { client, pipe } = await bench.open();
    expect(client.last('session-opened')).toEqual({ epoch: 0, length: 0, forwardsInFlight: 2 });
    forward(client, 1, 0, 6);
    await quiet();
    pipe.cut();
    await quiet();
    expect((await bench.open({ epoch: 1 })).client.last('session-opened')?.length).toBe(6);
  });
});

describe('limits of a tenant', () => {
  it("bound its connected sessions, and nobody else's", async () => {
    const bench = new SessionBench({ tenantLimits: { sessionsMax: 2 } });
    const first = await bench.open({}, 'session-of-tests-1', 'acme');
    await bench.open({}, 'session-of-tests-2', 'acme');
    const third = await bench.open({}, 'session-of-tests-3', 'acme');
    expect(third.client.last('error')).toMatchObject({ code: 'SERVER_BUSY', retryAfterMs: limits.BUSY_RETRY_AFTER_MS });
    expect((await bench.open({}, 'session-of-tests-4', 'other')).client.closed).toBeUndefined();
    // The same session again is no further one; a detached one does not count.
    expect((await bench.open({}, 'session-of-tests-2', 'acme')).client.closed).toBeUndefined();
    first.pipe.cut();
    await quiet();
    expect((await bench.open({}, 'session-of-tests-3', 'acme')).client.closed).toBeUndefined();
  });

  it('bound its bytes and tokens a minute, and say when to come again', async () => {
    const bench = new SessionBench({
      resumeWindowMs: 60_000,
      tenantLimits: { bytesPerMinute: 60, tokensPerMinute: 6 },
    });
    const { client } = await bench.open({}, 'session-of-tests-1', 'acme');
    forward(client, 1, 0, 20, { want: [19] });
    await quiet();
    expect(client.last('verdict')?.tokens).toEqual([truth(19)]);
    forward(client, 1, 20, 21);
    await quiet();
    // Eighty bytes of sixty: one byte is there again after 21 seconds.
    expect(client.last('error')).toMatchObject({ code: 'SERVER_BUSY', retryAfterMs: 21_000 });
    expect(client.closed?.code).toBe(4429);
    await bench.clock.advance(21_000);
    const again = await bench.open({ epoch: 2 }, 'session-of-tests-1', 'acme');
    forward(again.client, 3, 20, 22, { want: [21] });
    await quiet();
    expect(again.client.last('verdict')?.tokens).toEqual([truth(21)]);
  });

  it('bound what a server adds on its own', async () => {
    const bench = new SessionBench({ tenantLimits: { tokensPerMinute: 5 } });
    const { client } = await bench.open({ context: 'tokens' }, 'session-of-tests-1', 'acme');
    const control = { epoch: 1, from: 0, count: 4, want: [3], drafts: [], extend: 50 };
    client.send('context-forward', control, new Uint8Array(Uint16Array.from([1, 2, 3, 4]).buffer));
    await quiet();
    expect(client.all('verdict')).toHaveLength(5);
    expect(client.last('error')).toMatchObject({ code: 'SERVER_BUSY' });
  });
});
