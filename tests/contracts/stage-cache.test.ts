import { prepareBundle } from '@tandem/model-kit';
import {
  type Manifest,
  type OnnxRuntime,
  OnnxStageModel,
  type OnnxStageParts,
  onnxStageShape,
  seededRandom,
} from '@tandem/shared';
import { loadOnnxRuntime, openBundle } from '@tandem/shared/node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectSameBits } from '../support/compare.js';
import { removeFolder, SMALL_SHAPE, temporaryFolder, writeRandomCheckpoint } from '../support/random-checkpoint.js';

type Session = OnnxStageParts['session'];
type Feeds = Record<string, { data: unknown; dims: readonly number[] }>;

const POSITIONS = 170;

describe('KV cache of an ONNX stage', () => {
  let runtime: OnnxRuntime;
  let session: Session;
  let manifest: Manifest;
  const folders: string[] = [];
  /** The feeds of the last run: the only place where the cache can be seen from outside. */
  let feeds: Feeds = {};
  const rows = randomRows(1);

  beforeAll(async () => {
    const checkpoint = await writeRandomCheckpoint();
    const out = await temporaryFolder('bundle');
    folders.push(checkpoint, out);
    await prepareBundle({ checkpoint, cut: 2, formats: ['f32'], out });
    const bundle = await openBundle(out);
    manifest = bundle.manifest;
    runtime = await loadOnnxRuntime();
    session = await runtime.InferenceSession.create(await bundle.readVerified(manifest.stages[1]!.files.f32!));
  });
  afterAll(async () => {
    for (const folder of folders) await removeFolder(folder);
  });

  const openSpied = (capacity: number) => {
    const spy = {
      run: (given: Feeds) => {
        feeds = given;
        return session.run(given as Parameters<Session['run']>[0]);
      },
      release: () => Promise.resolve(),
    };
    return new OnnxStageModel({
      runtime,
      session: spy as unknown as Session,
      shape: onnxStageShape(manifest, 1),
      rowsPerRun: 64,
    }).open(capacity);
  };
  const forward = (stage: ReturnType<typeof openSpied>, count: number, source = rows) => {
    const { width } = SMALL_SHAPE;
    return stage.forward(
      { kind: 'rows', rows: source.slice(stage.length * width, (stage.length + count) * width) },
      new Int32Array(0),
    );
  };

  it('holds the same bits after random roll-backs as in a fresh run, and zeros behind them', async () => {
    const fresh = openSpied(POSITIONS);
    for (let i = 0; i < POSITIONS; i++) await forward(fresh, 1);
    const expected = readCache(feeds, POSITIONS - 1);
    const others = randomRows(2);
    for (let seed = 0; seed < 4; seed++) {
      const random = seededRandom(seed);
      const stage = openSpied(SMALL_SHAPE.contextLength);
      while (stage.length < POSITIONS - 1) {
        const length = stage.length;
        await forward(stage, Math.min(POSITIONS - length, 1 + Math.floor(random.next() * 40)), others);
        stage.truncate(random.next() < 0.3 ? Math.floor(random.next() * length) : length);
        await forward(stage, Math.min(POSITIONS - 1 - stage.length, 1 + Math.floor(random.next() * 40)));
      }
      await forward(stage, 1);
      const actual = readCache(feeds, POSITIONS - 1);
      for (const [name, values] of expected.used)
        expectSameBits(actual.used.get(name)!, values, `seed ${seed}, ${name}`);
      expect(actual.largestUnused, 'entries behind the length').toBe(0);
    }
  });

  it('is zero after truncate even where a row was NaN', async () => {
    const stage = openSpied(POSITIONS);
    await forward(stage, 5);
    await stage.forward({ kind: 'rows', rows: new Float32Array(3 * SMALL_SHAPE.width).fill(NaN) }, new Int32Array(0));
    stage.truncate(5);
    const keys = feeds['past_keys.0']!.data as Float32Array;
    expect(keys.every(Number.isFinite)).toBe(true);
    await forward(stage, 1);
    expect(readCache(feeds, 6).largestUnused).toBe(0);
  });

  it('grows with use, up to whole windows, and is zeroed on dispose', async () => {
    const stage = openSpied(SMALL_SHAPE.contextLength);
    const capacities: number[] = [];
    for (const count of [1, 63, 1, 80]) {
      await forward(stage, count);
      capacities.push(feeds['past_keys.0']!.dims.at(-1)!);
    }
    expect(capacities).toEqual([64, 64, 128, 192]);
    const keys = feeds['past_keys.0']!.data as Float32Array;
    expect(keys.some((value) => value !== 0)).toBe(true);
    stage.dispose();
    expect(keys.every((value) => value === 0)).toBe(true);
  });

  it('reports a failed run as ENGINE_FAILED and forgets it', async () => {
    const stage = openSpied(POSITIONS);
    await forward(stage, 3);
    const run = session.run;
    let runs = 0;
    // The second window of the call fails, when the first is already in the cache.
    session.run = (given: Parameters<Session['run']>[0]) =>
      ++runs === 2 ? Promise.reject(new Error('out of memory')) : Reflect.apply(run, session, [given]);
    await expect(forward(stage, 80)).rejects.toMatchObject({ code: 'ENGINE_FAILED' });
    session.run = run;
    expect([runs, stage.length]).toEqual([2, 3]);
    await forward(stage, 2);
    expect(stage.length).toBe(5);
    expect(readCache(feeds, 4).largestUnused).toBe(0);
    stage.dispose();
    await expect(forward(stage, 1)).rejects.toMatchObject({ code: 'DISPOSED' });
  });
});

/** The first `length` positions of all layers in one order, whatever the capacity, and the largest |number| behind them. */
function readCache(feeds: Feeds, length: number): { used: Map<string, Float32Array>; largestUnused: number } {
  const { headDim, kvHeads } = SMALL_SHAPE;
  const used = new Map<string, Float32Array>();
  let largestUnused = 0;
  for (const [name, { data, dims }] of Object.entries(feeds).filter(([key]) => key.startsWith('past_'))) {
    const isKey = name.startsWith('past_keys');
    const capacity = dims[isKey ? 4 : 3]!;
    const values = data as Float32Array;
    const kept: number[] = [];
    for (let head = 0; head < kvHeads; head++) {
      for (let position = 0; position < capacity; position++) {
        for (let i = 0; i < headDim; i++) {
          const at = isKey ? (head * headDim + i) * capacity + position : (head * capacity + position) * headDim + i;
          if (position < length) kept.push(values[at]!);
          // The position of the last run itself is written after it, so it counts as used.
          else if (position > length && !(Math.abs(values[at]!) <= largestUnused))
            largestUnused = Math.abs(values[at]!);
        }
      }
    }
    used.set(name, Float32Array.from(kept));
  }
  return { used, largestUnused };
}

function randomRows(seed: number): Float32Array {
  const random = seededRandom(seed);
  return Float32Array.from({ length: POSITIONS * SMALL_SHAPE.width }, () => random.next() * 4 - 2);
}
