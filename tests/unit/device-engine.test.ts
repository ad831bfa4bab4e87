import { DeviceEngine } from '@tandem/cloud/testing';
import { GREEDY, TandemError } from '@tandem/shared';
import { describe, expect, it } from 'vitest';
import { HASH_INFO, HashEngine } from '../support/hash-engine.js';
import { payload, truth } from '../support/session-bench.js';

const NATIVE = new TandemError('ENGINE_FAILED', 'ONNX Runtime could not run the stage', { cause: new Error('native') });

/** What failed steps of a GPU are taken for; tests/long/device-memory.test.ts has a driver that refuses. */
describe('an engine on a device', () => {
  async function opened() {
    const inner = new HashEngine();
    const lost: unknown[] = [];
    const engine = new DeviceEngine(inner, (error) => lost.push(error));
    const { deviceStages, stages } = HASH_INFO;
    await engine.open({ session: 's', firstStage: deviceStages, endStage: stages, capacity: 100, codec: 'f32' });
    const step = () =>
      engine.step({
        session: 's',
        from: 0,
        input: { kind: 'encoded-rows', bytes: payload(0, 10) },
        depth: 1,
        want: [9],
        drafts: [],
        sampling: GREEDY,
      });
    return { inner, lost, step };
  }

  it('has no memory for a step where another one still runs', async () => {
    const { inner, lost, step } = await opened();
    inner.nextError = NATIVE;
    await expect(step()).rejects.toMatchObject({ code: 'SERVER_BUSY', cause: NATIVE });
    expect(lost).toEqual([]);
    expect([...inner.sessions.keys()]).toEqual(['s']);
    expect((await step()).choices[0]?.token).toBe(truth(9));
  });

  it('is lost where none does', async () => {
    const { inner, lost, step } = await opened();
    inner.everyError = NATIVE;
    await expect(step()).rejects.toBe(NATIVE);
    expect(lost).toEqual([NATIVE]);
  });

  it('passes on what the runtime had no part in', async () => {
    const { inner, lost, step } = await opened();
    const own = new TandemError('ENGINE_FAILED', 'session s is not open in this engine');
    inner.nextError = own;
    await expect(step()).rejects.toBe(own);
    expect(inner.steps).toHaveLength(1);
    expect(lost).toEqual([]);
  });
});
