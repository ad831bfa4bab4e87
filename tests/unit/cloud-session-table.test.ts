import { encodeMessage, limits } from '@tandem/shared';
import { describe, expect, it } from 'vitest';
import { DECLARATION, forward, SessionBench, truth } from '../support/session-bench.js';
import { quiet } from '../support/wire-client.js';

const ID = 'session-of-tests-1';

describe('session table', () => {
  it.each([
    ['another model', { model: 'other' }, 'MODEL_MISMATCH', 4412, /other in f32.*in f32/],
    ['another format', { format: 'q8' }, 'MODEL_MISMATCH', 4412, /in q8.*in f32/],
    ['an unknown codec', { codec: 'morse' }, 'INVALID_OPTION', 4422, /morse/],
    ['more capacity than the model has', { capacity: 1_001 }, 'CONTEXT_TOO_LONG', 4414, /1001.*1000/],
    ['no capacity', { capacity: 0 }, 'CONTEXT_TOO_LONG', 4414, /0/],
  ])('refuses %s', async (_, declaration, code, closeCode, message) => {
    const { client } = await new SessionBench().open(declaration);
    expect(client.last('error')).toMatchObject({ code, message: expect.stringMatching(message) });
    expect(client.closed?.code).toBe(closeCode);
  });

  it('refuses more than the GPU has room for, and takes what it has', async () => {
    const bench = new SessionBench({ positionsMax: 60 });
    const { client } = await bench.open({ capacity: 61 });
    const message = expect.stringMatching(/61.*GPU.*60/);
    expect(client.last('error')).toMatchObject({ code: 'CONTEXT_TOO_LONG', message });
    const { client: other } = await bench.open({ capacity: 60 }, 'another-session-1');
    expect(other.last('session-opened')).toBeDefined();
  });

  it('gives a session back with its rows to a new connection of the same owner', async () => {
    const bench = new SessionBench();
    const first = await bench.open();
    forward(first.client, 1, 0, 6);
    await quiet();
    first.pipe.cut();
    await quiet();
    const second = await bench.open({ epoch: 1 });
    expect(second.client.last('session-opened')).toMatchObject({ epoch: 1, length: 6 });
    forward(second.client, 2, 6, 8, { want: [7] });
    await quiet();
    expect(second.client.last('verdict')?.tokens).toEqual([truth(7)]);
  });

  it('says of which epoch its rows are: opening alone does not make them newer', async () => {
    const bench = new SessionBench();
    const first = await bench.open();
    forward(first.client, 3, 0, 6);
    await quiet();
    first.pipe.cut();
    await bench.open({ epoch: 8 }).then(({ pipe }) => pipe.cut());
    await quiet();
    const third = await bench.open({ epoch: 9 });
    expect(third.client.last('session-opened')).toMatchObject({ epoch: 3, length: 6 });
  });

  it('gives rows back to the ledger that sent them, and to no other', async () => {
    const bench = new SessionBench();
    const first = await bench.open({ ledger: 1 });
    forward(first.client, 1, 0, 6);
    await quiet();
    const other = await bench.open({ ledger: 2, epoch: 5 });
    expect(other.client.last('session-opened')).toMatchObject({ epoch: 0, length: 0 });
    expect(first.client.last('error')?.code).toBe('SESSION_TAKEN');
    const back = await bench.open({ ledger: 1, epoch: 6 });
    expect(back.client.last('session-opened')).toMatchObject({ epoch: 0, length: 0 });
    expect(bench.host.sessions).toBe(1);
  });

  it('counts on the rows of a step under way, whatever its verdict says: they are what the client sent', async () => {
    const bench = new SessionBench();
    const first = await bench.open();
    forward(first.client, 1, 0, 6);
    await quiet();
    bench.engine.hold();
    forward(first.client, 1, 2, 5, { want: [2], drafts: [(truth(2) + 1) % 50] });
    await quiet();
    first.pipe.cut();
    await quiet();
    const second = await bench.open({ epoch: 1 });
    expect(second.client.last('session-opened')?.length).toBe(5);
    bench.engine.release();
    forward(second.client, 2, 5, 8, { want: [7] });
    await quiet();
    expect(second.client.last('verdict')?.tokens).toEqual([truth(7)]);
  });

  it('cancels what is queued for a client that is gone', async () => {
    const bench = new SessionBench();
    const { client, pipe } = await bench.open();
    bench.engine.hold();
    forward(client, 1, 0, 4);
    forward(client, 1, 4, 8);
    await quiet();
    pipe.cut();
    await quiet();
    bench.engine.release();
    await quiet();
    expect(bench.engine.steps).toHaveLength(1);
  });

  it('frees a session that nobody resumes in time, and its memory in the engine', async () => {
    const bench = new SessionBench({ resumeWindowMs: 1_000 });
    const { client, pipe } = await bench.open();
    forward(client, 1, 0, 4);
    await quiet();
    pipe.cut();
    await quiet();
    await bench.clock.advance(999);
    expect([bench.host.sessions, bench.engine.sessions.size]).toEqual([1, 1]);
    await bench.clock.advance(1);
    await quiet();
    expect([bench.host.sessions, bench.engine.sessions.size]).toEqual([0, 0]);
    expect(bench.clock.pending).toBe(0);
    const late = await bench.open();
    expect(late.client.last('session-opened')?.length).toBe(0);
  });

  it('lets a connection take over from one that does not know yet that it is dead', async () => {
    const bench = new SessionBench();
    const first = await bench.open();
    forward(first.client, 1, 0, 4);
    await quiet();
    bench.engine.hold();
    forward(first.client, 1, 4, 6, { want: [5] });
    await quiet();
    const second = await bench.open({ epoch: 1 });
    expect(first.client.last('error')?.code).toBe('SESSION_TAKEN');
    expect(first.client.closed?.code).toBe(4409);
    bench.engine.release();
    await quiet();
    expect([...first.client.all('verdict'), ...second.client.all('verdict')]).toEqual([]);
    forward(second.client, 2, 4, 6, { want: [5] });
    await quiet();
    expect(second.client.last('verdict')?.tokens).toEqual([truth(5)]);
    expect(bench.host.sessions).toBe(1);
  });

  it('counts nothing that an overtaken connection still sends', async () => {
    const bench = new SessionBench();
    const frames: Uint8Array[] = [];
    const deadEnd = { bufferedBytes: 0, send: (frame: Uint8Array) => void frames.push(frame), close() {} };
    const first = bench.host.accept({ sessionId: ID, owner: 'me' }, deadEnd);
    first.received(encodeMessage('session-open', DECLARATION));
    const second = await bench.open();
    const heard = frames.length;
    const control = { epoch: 9, from: 0, count: 1, want: [0], drafts: [] };
    first.received(encodeMessage('context-forward', control, new Uint8Array(4)));
    first.received(encodeMessage('session-close', {}));
    await quiet();
    expect(bench.engine.steps).toEqual([]);
    expect(frames).toHaveLength(heard);
    expect(bench.host.sessions).toBe(1);
    expect(second.client.closed).toBeUndefined();
  });

  it('does not give a session to another credential', async () => {
    const bench = new SessionBench();
    const mine = await bench.open();
    const theirs = await bench.open({}, ID, 'somebody else');
    expect(theirs.client.last('error')?.code).toBe('UNAUTHORIZED');
    expect(mine.client.closed).toBeUndefined();
  });

  it('starts from nothing when the declaration differs', async () => {
    const bench = new SessionBench();
    const first = await bench.open();
    forward(first.client, 1, 0, 4);
    await quiet();
    const second = await bench.open({ capacity: 50, epoch: 1 });
    expect(second.client.last('session-opened')?.length).toBe(0);
    forward(second.client, 2, 0, 4, { want: [3] });
    await quiet();
    expect(second.client.last('verdict')?.tokens).toEqual([truth(3)]);
    expect(bench.engine.sessions.size).toBe(1);
  });

  it('frees at session-close', async () => {
    const bench = new SessionBench();
    const { client } = await bench.open();
    forward(client, 1, 0, 4);
    await quiet();
    client.send('session-close', {});
    await quiet();
    expect([bench.host.sessions, bench.host.connections, bench.engine.sessions.size]).toEqual([0, 0, 0]);
    expect(client.closed?.code).toBe(1000);
    expect(bench.clock.pending).toBe(0);
  });

  it('is busy with as many sessions as it may have, unless one waits for nobody', async () => {
    const bench = new SessionBench({ sessionsMax: 2 });
    const first = await bench.open({}, 'session-of-tests-1');
    await bench.open({}, 'session-of-tests-2');
    const third = await bench.open({}, 'session-of-tests-3');
    expect(third.client.last('error')).toMatchObject({ code: 'SERVER_BUSY', retryAfterMs: limits.BUSY_RETRY_AFTER_MS });
    first.pipe.cut();
    await quiet();
    const fourth = await bench.open({}, 'session-of-tests-4');
    expect(fourth.client.last('session-opened')).toBeDefined();
    expect(bench.host.sessions).toBe(2);
  });

  it('sends clients elsewhere while the engine does not start', async () => {
    const bench = new SessionBench();
    bench.source.isAvailable = false;
    const { client } = await bench.open();
    expect(client.last('error')?.code).toBe('ENGINE_FAILED');
  });
});
