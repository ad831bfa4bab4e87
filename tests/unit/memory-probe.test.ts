import { ContextCache, fixedEngine, Scheduler } from '@tandem/cloud';
import { contextBudget, longestContext, measureDeviceMemory, measureEngines } from '@tandem/cloud/testing';
import {
  type EngineInfo,
  type EngineSession,
  limits,
  type Manifest,
  type StepRequest,
  TandemError,
} from '@tandem/shared';
import { describe, expect, it } from 'vitest';
import { HASH_INFO, HashEngine } from '../support/hash-engine.js';
import { ManualClock } from '../support/manual-clock.js';
import { forward, SessionBench, SILENT, truth } from '../support/session-bench.js';
import { quiet } from '../support/wire-client.js';

/** An engine on a device with room for so many positions; a context takes whole windows of 64, or all at once. */
class TightEngine extends HashEngine {
  override readonly info: EngineInfo;
  readonly #room: number;
  readonly #declared = new Map<string, EngineSession>();
  /** The most that sessions held at a time. */
  heldMax = 0;
  onStep = () => {};

  constructor(room: number, device: EngineInfo['device'] = 'webgpu', contextLength = 256) {
    super();
    this.#room = room;
    this.info = { ...HASH_INFO, device, contextLength };
  }

  override async open(session: EngineSession): Promise<void> {
    this.#declared.set(session.session, session);
    await super.open(session);
  }

  override async step(request: StepRequest) {
    this.onStep();
    const added = request.input?.kind === 'encoded-rows' ? request.input.bytes.length / 4 : 0;
    let held = 0;
    for (const [id, { rows }] of this.sessions) {
      const { reserve, capacity } = this.#declared.get(id)!;
      const taken = (length: number) => (reserve && length > 0 ? capacity : Math.ceil(length / 64) * 64);
      held += taken(rows.length);
      // A step makes its context anew beside the old one.
      if (id === request.session) held += taken(request.from + added);
    }
    if (held > this.#room) throw new TandemError('SERVER_BUSY', 'the GPU has no memory for this step');
    this.heldMax = Math.max(this.heldMax, held);
    return await super.step(request);
  }
}

const measure = (engine: TightEngine, bytesMax: number, clock = new ManualClock()) =>
  measureDeviceMemory({ runner: new Scheduler(fixedEngine(engine), clock), clock, bytesMax, bytesPerPosition: 10 });

describe('the memory of a device', () => {
  it('is what contexts it holds at a time, and none of them stays', async () => {
    const engine = new TightEngine(1_000);
    // Two of 256, two of 128 and two of 64: what follows has no room beside itself.
    const memory = await measure(engine, 1_000_000);
    expect(memory).toEqual({ heldBytes: 8_960, end: 'device', positionsMax: 256 });
    expect(engine.heldMax).toBe(960);
    expect(engine.sessions.size).toBe(0);
    expect(contextBudget(1_000_000, memory!, 'webgpu')).toBe(7_168);
    expect(contextBudget(100, memory!, 'webgpu')).toBe(100);
  });

  it('is tried out as far as the operator asks for, and no further', async () => {
    const engine = new TightEngine(1_000);
    const memory = await measure(engine, 5_000);
    expect(memory).toEqual({ heldBytes: 4_480, end: 'asked', positionsMax: 256 });
    expect(engine.heldMax).toBe(512);
    expect(contextBudget(5_000, memory!, 'webgpu')).toBe(5_000);
    // Nothing refused a longer one.
    expect(longestContext(memory)).toBeUndefined();
  });

  it('is not tried out for ever', async () => {
    const clock = new ManualClock();
    const engine = new TightEngine(1_000_000);
    engine.onStep = () => void clock.advance(limits.LOAD_PROBE_MS_MAX / 8);
    const memory = await measure(engine, 1_000_000, clock);
    expect(memory?.end).toBe('time');
    expect(engine.sessions.size).toBe(0);
  });

  it('is asked of no processor, and of CUDA for one context, which bounds no number of them', async () => {
    expect(await measure(new TightEngine(1_000, 'cpu'), 5_000)).toBeUndefined();
    expect(await measure(new TightEngine(1_000, 'cuda'), 1_000_000)).toMatchObject({ heldBytes: 2_560, end: 'asked' });
    const small = await measure(new TightEngine(200, 'cuda'), 1_000_000);
    expect(small).toMatchObject({ positionsMax: 64, end: 'device' });
    expect(contextBudget(1_000_000, small!, 'cuda')).toBe(1_000_000);
    expect(longestContext(small)).toBe(64);
  });
});

describe('the budget of all contexts', () => {
  it.each([
    [
      'a device with less',
      1_000,
      100_000,
      Math.floor(896 * 8 * 0.8),
      'the GPU has no memory for all that was asked for',
    ],
    ['a device with more', 1_000, 4_000, 4_000, 'the GPU has the memory that was asked for'],
  ])('on %s', async (_, room, askedBytes, budgetBytes, said) => {
    const engine = new TightEngine(room);
    const clock = new ManualClock();
    const cache = new ContextCache(askedBytes);
    const lines: [object, string][] = [];
    const say = (fields: object, text: string) => void lines.push([fields, text]);
    const log = { ...SILENT, info: say, warn: say };
    // Eight bytes a position behind the cut.
    const manifest = { layers: 3, cut: 2, kvHeads: 1, headDim: 1 } as Manifest;
    const runner = new Scheduler(fixedEngine(engine), clock);
    const figures = await measureEngines({ runner, cache, manifest, clock, log });
    expect(cache.budgetBytes).toBe(budgetBytes);
    expect(figures.deviceMemory?.heldBytes).toBeGreaterThan(0);
    expect(lines[0]).toEqual([{ ...figures.deviceMemory, askedBytes, budgetBytes }, said]);
    expect(engine.sessions.size).toBe(0);
  });
});

describe('a step that the device has no memory for', () => {
  const bench = (room: number) => {
    const opened = new SessionBench({ kvBytesPerPosition: 5 });
    opened.source.engine = new TightEngine(room, 'webgpu', 1_000);
    return opened;
  };

  it('is tried once more after others gave way, and none of them loses a word', async () => {
    const { open, counted, source } = bound(bench(192));
    const idle = await open({}, 'session-of-tests-1');
    forward(idle.client, 1, 0, 60, { want: [59] });
    await quiet();
    const other = await open({}, 'session-of-tests-2');
    forward(other.client, 1, 0, 60, { want: [59] });
    await quiet();
    forward(other.client, 1, 60, 70, { want: [69] });
    await quiet();
    expect(other.client.last('verdict')?.tokens).toEqual([truth(69)]);
    expect(counted).toMatchObject({ tandem_device_refusals_total: 1, 'tandem_context_evictions_total rows': 1 });
    expect(source.engine.sessions.size).toBe(1);
    forward(idle.client, 1, 60, 62, { want: [61] });
    await quiet();
    expect(idle.client.last('verdict')?.tokens).toEqual([truth(61)]);
    expect(idle.client.all('context-rewind')).toEqual([]);
  });

  it('waits until all that gave way have given', async () => {
    const { open, counted } = bound(bench(200));
    const idle = [1, 2].map((id) => open({}, `session-of-tests-${id}`));
    for (const { client } of await Promise.all(idle)) {
      forward(client, 1, 0, 20);
      await quiet();
    }
    const grows = await open({}, 'session-of-tests-3');
    forward(grows.client, 1, 0, 64);
    await quiet();
    // One row: its turn would come before that of the second close.
    forward(grows.client, 1, 64, 65, { want: [64] });
    await quiet();
    expect(grows.client.last('verdict')?.tokens).toEqual([truth(64)]);
    expect(counted).toMatchObject({ tandem_device_refusals_total: 1, 'tandem_context_evictions_total rows': 2 });
  });

  it('is refused with a time to come back where nobody can give way, and others do not notice', async () => {
    const { open, source } = bound(bench(64));
    const only = await open({}, 'session-of-tests-1');
    forward(only.client, 1, 0, 60, { want: [59] });
    await quiet();
    forward(only.client, 1, 60, 70, { want: [69] });
    await quiet();
    expect(only.client.last('error')).toMatchObject({ code: 'SERVER_BUSY', retryAfterMs: limits.BUSY_RETRY_AFTER_MS });
    expect(source.generation).toBe(0);
    const other = await open({}, 'session-of-tests-2');
    forward(other.client, 1, 0, 60, { want: [59] });
    await quiet();
    expect(other.client.last('verdict')?.tokens).toEqual([truth(59)]);
  });

  function bound(opened: SessionBench) {
    return { open: opened.open.bind(opened), counted: opened.counted, source: opened.source };
  }
});
