import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { calibrateBundle, Observer, prepareBundle, tellTexts } from '@tandem/model-kit';
import { type ChainEngine, GREEDY, generateUnsplit, type Manifest, seededRandom } from '@tandem/shared';
import { loadChainEngine, openBundle } from '@tandem/shared/node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { removeFolder, temporaryFolder, writeRandomCheckpoint } from '../support/random-checkpoint.js';
import { runTandem } from '../support/run-tandem.js';

const BOUNDARIES = { exits: [1, 3], cut: 3 };
let folder: string;
let checkpoint: string;
let bundle: string;
let manifest: Manifest;

beforeAll(async () => {
  folder = await temporaryFolder('calibrate');
  const source = await writeRandomCheckpoint({ fittedExits: [1, 3] });
  checkpoint = join(folder, 'checkpoint');
  await cp(source, checkpoint, { recursive: true });
  await removeFolder(source);
  bundle = join(folder, 'bundle');
  manifest = await prepareBundle({ checkpoint, ...BOUNDARIES, formats: ['f32', 'q8'], out: bundle });
});
afterAll(() => removeFolder(folder));

describe('observing', () => {
  let engine: ChainEngine;
  beforeAll(async () => {
    engine = await loadChainEngine({ directory: bundle, format: 'f32', threads: 1, preload: 'all' });
  });
  afterAll(() => engine.dispose());

  it('hears what each exit and the whole model would say in a session', async () => {
    const tokens = Array.from({ length: 150 }, (_, i) => (i * 7 + 1) % 61);
    const observed = await new Observer(engine, manifest, 'f16').observe(tokens, 100);
    expect(observed.truth).toHaveLength(50);
    expect(observed.exits.map(({ length }) => length)).toEqual([50, 50]);
    // Spot checks, one token at a time through the stages up to each head.
    for (const position of [100, 128, 149]) {
      const words = [
        ...observed.exits.map((exit) => exit[position - 100]!.evidence.top),
        observed.truth[position - 100],
      ];
      expect(words, `position ${position}`).toEqual(await wordsAfter(tokens.slice(0, position + 1)));
    }
  });

  async function wordsAfter(tokens: number[]): Promise<number[]> {
    const words: number[] = [];
    for (const depth of [1, 2, 3]) {
      const session = `depth ${depth}`;
      await engine.open({ session, firstStage: 0, endStage: 3, capacity: 200, codec: 'f16' });
      const input = { kind: 'tokens' as const, tokens: Int32Array.from(tokens) };
      const want = [tokens.length - 1];
      const { choices } = await engine.step({ session, from: 0, input, depth, want, drafts: [], sampling: GREEDY });
      words.push(choices[0]!.token);
      await engine.close(session);
    }
    return words;
  }

  it('tells texts that a greedy session would tell after the same opening, each with a seed of its own', async () => {
    const options = { texts: 4, tokens: 12, seed: 3, codec: 'f16' as const };
    const told = await tellTexts(engine, manifest, options);
    expect(await tellTexts(engine, manifest, options)).toEqual(told);
    expect(new Set(told.map(({ tokens }) => tokens.join())).size).toBe(4);
    for (const { tokens, first } of told) {
      const { eosTokenIds } = manifest;
      const prompt = tokens.slice(0, first + 1);
      expect(eosTokenIds.some((id) => prompt.slice(1).includes(id))).toBe(false);
      const story = await generateUnsplit(engine, {
        prompt,
        maxOutputTokens: 12,
        sampling: GREEDY,
        codec: 'f16',
        eosTokenIds,
      });
      expect(tokens.slice(first + 1)).toEqual(story.slice(0, -1));
    }
  });
});

describe('a calibration beside a checkpoint', () => {
  it('comes into the manifest of a bundle of these weights, exits and formats, and only there', async () => {
    const written = await runTandem('calibrate', checkpoint, '--exits', '1,3', '--cut', '3', '--texts', '20', '--json');
    expect(written.stderr).toBe('');
    const { calibrations } = JSON.parse(written.stdout);
    expect(calibrations.map(({ format }: { format: string }) => format)).toEqual(['q8', 'f32']);
    const warnings: string[] = [];
    const prepare = (options: object) =>
      prepareBundle({
        checkpoint,
        ...BOUNDARIES,
        formats: ['f32'],
        out: join(folder, 'again'),
        onWarning: (message) => warnings.push(message),
        ...options,
      });
    const folded = await prepare({});
    expect(folded.calibration).toEqual([calibrations[1]]);
    expect(warnings).toEqual([]);
    expect((await prepare({ exits: [3] })).calibration).toBeUndefined();
    expect(warnings.pop()).toMatch(/calibration\.json was made for exits 1, 3; it is left out/);

    // One byte of the weights, the last one.
    const weights = join(checkpoint, 'model.safetensors');
    const bytes = await readFile(weights);
    bytes[bytes.length - 1]! ^= 1;
    await writeFile(weights, bytes);
    expect((await prepare({})).calibration).toBeUndefined();
    expect(warnings.pop()).toMatch(/calibration\.json was made for other weights \(\w{16}\); it is left out/);
    await writeFile(join(checkpoint, 'calibration.json'), '{"version":1}');
    await expect(prepare({})).rejects.toThrow(/^CHECKPOINT_INVALID: .*calibration\.json is no calibration/);
  });
});

describe('tandem calibrate', () => {
  it('writes into the manifest of a bundle, from a text file', async () => {
    const random = seededRandom(1);
    const word = () => `t${Math.floor(random.next() * 60)}`;
    const texts = Array.from({ length: 25 }, () => Array.from({ length: 30 }, word).join(' '));
    const file = join(folder, 'stories.txt');
    await writeFile(file, texts.join('\n---\n'));
    const args = ['--text', file, '--separator', '---', '--format', 'q8', '--epsilon', '0.9,0.01', '--delta', '0.2'];
    const result = await runTandem('calibrate', bundle, ...args);
    expect(result).toMatchObject({ code: 0 });
    expect(result.stdout).toMatch(/^q8: 25 texts, \d+ tokens \(stories\.txt\), confidence 0\.8\n/);
    expect(result.stdout).toMatch(/margin +0\.01 +never, never +0\.0 %/);
    const calibration = (await openBundle(bundle)).manifest.calibration!;
    expect(calibration).toMatchObject([{ format: 'q8', delta: 0.2, text: { name: 'stories.txt', texts: 25 } }]);
    // Nine of ten may be wrong: then something may be settled even with random weights.
    expect(calibration[0]!.policies[0]!.thresholds.some((threshold) => threshold !== null)).toBe(true);
    expect((await runTandem('inspect', bundle)).stdout).toContain('q8 calibrated on 25 texts (stories.txt)');
  });

  it.each([
    [['--texts', '3'], '3 texts to calibrate on; give at least 20'],
    [['--epsilon', '0.01,2'], 'epsilon or delta 2; both lie between 0 and 1'],
    [['--text', 'no-such-file'], '--text no-such-file cannot be read; name a text file'],
  ])('refuses %j', async (args, message) => {
    const result = await runTandem('calibrate', bundle, ...args);
    expect(result).toMatchObject({ code: 1, stderr: `INVALID_OPTION: ${message}\n` });
  });

  it('refuses a bundle without exits', async () => {
    const out = join(folder, 'no-exits');
    await prepareBundle({ checkpoint: await writeRandomCheckpoint(), exits: [], cut: 2, formats: ['f32'], out });
    await expect(calibrateBundle({ bundle: out, source: { kind: 'told', texts: 20, seed: 1 } })).rejects.toThrow(
      /has no exits to calibrate/,
    );
  });
});
