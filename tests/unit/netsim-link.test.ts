import { type LinkProfile, simulateLink, VirtualClock } from '@tandem/netsim';
import { createMemoryPipe, type Transport, type TransportHandlers } from '@tandem/shared';
import { describe, expect, it } from 'vitest';

/** Notes what one side hears, as `time what`. */
function listener(clock: VirtualClock, heard: string[], received: (frame: Uint8Array) => void = () => {}) {
  const note = (text: string) => heard.push(`${clock.now()} ${text}`);
  return {
    opened: () => note('opened'),
    received: (frame) => {
      note(`received ${frame.length}`);
      received(frame);
    },
    closed: ({ code, error }) => note(`closed ${code}${error ? ` ${error.code}` : ''}`),
  } satisfies TransportHandlers;
}

function setUp(profile: LinkProfile, seed = 1) {
  const clock = new VirtualClock();
  const pipe = createMemoryPipe(clock);
  const heard = { client: [] as string[], server: [] as string[] };
  const servers: Transport[] = [];
  pipe.accept((server) => {
    servers.push(server);
    return listener(clock, heard.server);
  });
  const link = simulateLink(pipe.connect, profile, { clock, seed });
  const connect = () => link.connect(listener(clock, heard.client));
  return { clock, pipe, heard, servers, link, connect };
}

describe('memory pipe', () => {
  it('delivers in order, what was sent before a close, and closes both sides once', async () => {
    const { clock, pipe, heard, servers } = setUp({});
    const client = pipe.connect(listener(clock, heard.client));
    expect(heard.client).toEqual([]);
    await clock.runUntilIdle();
    for (const bytes of [1, 2, 3]) client.send(new Uint8Array(bytes));
    expect([client.bufferedBytes, heard.server.length]).toEqual([6, 1]);
    servers[0]!.send(new Uint8Array(9));
    client.close(1000);
    client.close(1000);
    client.send(new Uint8Array(4));
    await clock.runUntilIdle();
    servers[0]!.send(new Uint8Array(5));
    servers[0]!.close();
    await clock.runUntilIdle();
    expect(heard.server).toEqual(['0 opened', '0 received 1', '0 received 2', '0 received 3', '0 closed 1000']);
    expect(heard.client).toEqual(['0 opened', '0 received 9', '0 closed 1000']);
    expect(client.bufferedBytes).toBe(0);
  });

  it('refuses while nobody accepts', async () => {
    const clock = new VirtualClock();
    const heard: string[] = [];
    createMemoryPipe(clock).connect(listener(clock, heard));
    await clock.runUntilIdle();
    expect(heard).toEqual(['0 closed 1006 CLOUD_UNAVAILABLE']);
  });
});

describe('simulated link', () => {
  it('opens after the handshake, delivers at the exact time, and shares the rate among connections', async () => {
    const { clock, heard, servers, link, connect } = setUp({ rttMs: 100, upBytesPerS: 1000 });
    const clients = [connect(), connect()];
    await clock.advance(200);
    for (const client of clients) client.send(new Uint8Array(100));
    expect(clients.map((client) => client.bufferedBytes)).toEqual([100, 100]);
    await clock.runUntilIdle();
    servers[0]!.send(new Uint8Array(7));
    await clock.runUntilIdle();
    expect(heard.server.slice(2)).toEqual(['350 received 100', '450 received 100']);
    expect(heard.client).toEqual(['200 opened', '200 opened', '500 received 7']);
    expect(link.stats).toMatchObject({ upBytes: 200, upFrames: 2, downBytes: 7, downFrames: 1, connections: 2 });
  });

  it('a cut closes both sides once, drops what is under way, and then refuses for a while', async () => {
    const { clock, heard, link, connect } = setUp({ rttMs: 100, reconnectRefusedMs: 500 });
    const client = connect();
    await clock.advance(200);
    client.send(new Uint8Array(8));
    await clock.advance(20);
    link.cut();
    client.send(new Uint8Array(8));
    client.close();
    await clock.advance(280);
    connect();
    await clock.advance(220);
    connect();
    await clock.runUntilIdle();
    expect(heard.server).toEqual(['0 opened', '220 closed 4006', '720 opened']);
    expect(heard.client).toEqual([
      '200 opened',
      '220 closed 1006 CLOUD_UNAVAILABLE',
      '600 closed 1006 CLOUD_UNAVAILABLE',
      '920 opened',
    ]);
    expect(link.stats).toMatchObject({ cuts: 1, refused: 1, connections: 2, upBytes: 0 });
  });

  it('cuts at the times of the profile, counted from the first connection, and leaves no timer', async () => {
    const { clock, heard, connect } = setUp({ cuts: [{ afterMs: 700 }, { afterMs: 900 }] });
    await clock.advance(50);
    connect();
    await clock.advance(750);
    const client = connect();
    await clock.runUntilIdle();
    expect(heard.client.filter((line) => line.includes('closed'))).toEqual([
      '750 closed 1006 CLOUD_UNAVAILABLE',
      '950 closed 1006 CLOUD_UNAVAILABLE',
    ]);
    client.close();
    expect(clock.pending).toBe(0);
  });

  it('waits for no cut once the last connection has closed', async () => {
    const { clock, link, connect } = setUp({ cuts: [{ afterMs: 700 }], randomCuts: { meanIntervalMs: 1e6 } });
    const client = connect();
    await clock.advance(10);
    client.close();
    await clock.advance(10);
    expect([clock.pending, link.stats.cuts]).toEqual([0, 0]);
  });

  it.each([
    ['afterFrames', { afterFrames: 2, direction: 'up' as const }, ['0 received 10', '0 received 10']],
    ['afterBytes', { afterBytes: 15, direction: 'up' as const }, ['0 received 10']],
  ])('cuts %s', async (_name, cut, received) => {
    const { clock, heard, connect } = setUp({ cuts: [cut] });
    const client = connect();
    await clock.runUntilIdle();
    for (let frame = 0; frame < 4; frame++) client.send(new Uint8Array(10));
    await clock.runUntilIdle();
    expect(heard.server.filter((line) => line.includes('received'))).toEqual(received);
    expect(heard.client.at(-1)).toBe('0 closed 1006 CLOUD_UNAVAILABLE');
  });

  it('holds what is under way during a stall, and refuses when offline', async () => {
    const { clock, heard, link, connect } = setUp({ rttMs: 100 });
    const client = connect();
    await clock.advance(200);
    client.send(new Uint8Array(1));
    await clock.advance(10);
    link.stall(300);
    await clock.advance(300);
    expect(heard.server.at(-1)).toBe('510 received 1');
    link.setProfile({ offline: true });
    connect();
    await clock.runUntilIdle();
    expect(heard.client.filter((line) => line.includes('closed'))).toHaveLength(2);
  });

  it('delivers what was sent before a close', async () => {
    const { clock, heard, connect } = setUp({ rttMs: 100 });
    const client = connect();
    await clock.advance(200);
    client.send(new Uint8Array(1));
    client.close(1000);
    await clock.runUntilIdle();
    expect(heard.server.slice(1)).toEqual(['250 received 1', '250 closed 1000']);
    expect(heard.client.slice(1)).toEqual(['300 closed 1000']);
  });
});
