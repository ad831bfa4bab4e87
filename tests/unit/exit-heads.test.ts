import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type FittedExit,
  fitExits,
  foldExits,
  Observer,
  prepareBundle,
  rawExits,
  readCheckpoint,
  readExitMap,
  writeExits,
} from '@tandem/model-kit';
import { floatToHalf, halfToFloat, seededRandom } from '@tandem/shared';
import { loadChainEngine, openBundle } from '@tandem/shared/node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { removeFolder, temporaryFolder, writeRandomCheckpoint } from '../support/random-checkpoint.js';
import { runTandem } from '../support/run-tandem.js';

const random = seededRandom(4);
/** Tokens of the small vocabulary at random: all that random weights can be asked about. */
const TEXTS = Array.from({ length: 40 }, () => Array.from({ length: 40 }, () => Math.floor(random.next() * 61)));
const REPORTED = TEXTS.filter((_, i) => i % 10 === 9);

let folder: string;
let checkpoint: string;
let bundle: string;
let fitted: FittedExit[];
beforeAll(async () => {
  folder = await temporaryFolder('exit-heads');
  checkpoint = await writeRandomCheckpoint();
  bundle = join(folder, 'bundle');
  await prepareBundle({ checkpoint, exits: [1, 3], cut: 3, formats: ['f32', 'q8'], out: bundle });
  fitted = await fitExits({ bundle, texts: TEXTS });
});
afterAll(async () => {
  await removeFolder(folder);
  await removeFolder(checkpoint);
});

describe('exit heads without training', () => {
  // Random weights hold nothing that a map could find; bench calibrate shows on models that learned something what maps are worth.
  it('are fitted for each exit, and chosen so that they harm little', () => {
    expect(fitted.map(({ exit, stage, present }) => ({ exit, stage, present }))).toEqual([
      { exit: 1, stage: 1, present: undefined },
      { exit: 3, stage: 2, present: undefined },
    ]);
    for (const { raw, fitted: own } of fitted) expect(own).toBeGreaterThan(raw - 0.05);
  });

  it('do in the bundle what was reported, in every format', async () => {
    expect(await rawExits(bundle)).toEqual([1, 3]);
    const before = await agreements('f32');
    expect(before[0]).toBeCloseTo(fitted[0]!.raw, 10);
    expect(before[1]).toBeCloseTo(fitted[1]!.raw, 10);
    const manifest = await foldExits(bundle, new Map(fitted.map(({ exit, map }) => [exit, map])));
    expect(await rawExits(bundle)).toEqual([]);
    const after = await agreements('f32');
    expect(after[0]).toBeCloseTo(fitted[0]!.fitted, 10);
    expect(after[1]).toBeCloseTo(fitted[1]!.fitted, 10);
    const inQ8 = await agreements('q8');
    expect(inQ8[0]).toBeGreaterThan(fitted[0]!.fitted - 0.05);
    // Nothing is left of the heads before.
    const files = manifest.stages.flatMap((stage) => Object.values(stage.files).map(({ file }) => file));
    const here = await readdir(bundle);
    expect(here.filter((name) => name.endsWith('.onnx')).sort()).toEqual(files.sort());
    expect(await runTandem('inspect', bundle, '--verify')).toMatchObject({ code: 0 });
  });

  it('are fitted and put in where weights lie in a file of their own, as those of stages over 2 GiB do', async () => {
    const out = join(folder, 'external');
    await prepareBundle({ checkpoint, exits: [1, 3], cut: 3, formats: ['f32'], out, inlineWeightBytesMax: 10_000 });
    expect(Object.keys((await openBundle(out)).manifest.stages[0]!.data!)).toEqual(['f32']);
    const found = await fitExits({ bundle: out, texts: TEXTS });
    expect(found.map(({ raw, fitted: own }) => [raw, own])).toEqual(fitted.map((exit) => [exit.raw, exit.fitted]));
    await foldExits(out, new Map(found.map(({ exit, map }) => [exit, map])));
    const again = await fitExits({ bundle: out, texts: TEXTS });
    expect(again.map(({ present }) => present)).toEqual(found.map((exit) => exit.fitted));
    expect((await readdir(out)).filter((name) => name.startsWith('.head'))).toEqual([]);
    expect(await runTandem('inspect', out, '--verify')).toMatchObject({ code: 0 });
  });

  it('can be exchanged, and are read back as they were written: f16 where the format is not f32', async () => {
    const map = { weight: fitted[0]!.map.weight.map((value) => -value), bias: fitted[0]!.map.bias.map((x) => x + 1) };
    const { stages } = await foldExits(bundle, new Map([[1, map]]));
    const opened = await openBundle(bundle);
    const inF32 = readExitMap(await opened.readVerified(stages[0]!.files.f32!))!;
    expect(inF32).toEqual(map);
    const inQ8 = readExitMap(await opened.readVerified(stages[0]!.files.q8!))!;
    expect(inQ8.weight).toEqual(map.weight.map((value) => halfToFloat(floatToHalf(value))));
    expect(inQ8.bias).toEqual(map.bias);
    const refit = await fitExits({ bundle, texts: TEXTS });
    expect(refit[0]!.present).toBeLessThan(refit[0]!.fitted);
    expect(refit[0]!.raw).toBe(fitted[0]!.raw);
  });

  it('lie beside a checkpoint as a trained one has them, and are not written over', async () => {
    const maps = new Map(fitted.map(({ exit, map }) => [exit, map]));
    await writeExits(checkpoint, maps);
    const read = await readCheckpoint(checkpoint);
    expect(read.fittedExits).toEqual([1, 3]);
    expect(await read.read('exits.3.weight')).toEqual(fitted[1]!.map.weight);
    await read.close();
    await expect(writeExits(checkpoint, maps)).rejects.toThrow(
      /^INVALID_OPTION: .*exits\.safetensors is there already/,
    );
  });

  it('are refused on too few texts', async () => {
    await expect(fitExits({ bundle, texts: TEXTS.slice(0, 9) })).rejects.toThrow(
      /^INVALID_OPTION: 9 texts to fit exit heads on/,
    );
  });

  it('come with the command, before the thresholds', async () => {
    const raw = join(folder, 'raw');
    const source = await writeRandomCheckpoint({ seed: 2 });
    await prepareBundle({ checkpoint: source, exits: [2], cut: 2, formats: ['f32'], out: raw });
    await removeFolder(source);
    const result = await runTandem('calibrate', raw, '--texts', '20', '--head-tokens', '1300');
    expect(result.stdout).toMatch(/after layer 2 +\d+\.\d % +\d+\.\d % +(affine|rank \d+), ridge \S+, \d steps/);
    expect(await rawExits(raw)).toEqual([]);
    expect((await openBundle(raw)).manifest.calibration).toHaveLength(1);
  });
});

/** By exit: share of the reported texts' tokens on which the bundle's own exit names the whole model's choice. */
async function agreements(format: 'f32' | 'q8'): Promise<number[]> {
  const engine = await loadChainEngine({ directory: bundle, format, threads: 1, preload: 'all' });
  const observer = new Observer(engine, (await openBundle(bundle)).manifest, 'f32');
  const equal = [0, 0];
  for (const tokens of REPORTED) {
    const { truth, exits } = await observer.observe(tokens, 0);
    for (const [exit, words] of exits.entries())
      equal[exit]! += words.filter(({ evidence }, i) => evidence.top === truth[i]).length;
  }
  await engine.dispose();
  return equal.map((count) => count / (REPORTED.length * 40));
}
