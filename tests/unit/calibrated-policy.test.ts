import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { calibrated, EdgeModel, type ExitEvidence } from '@tandem/edge';
import { prepareBundle } from '@tandem/model-kit';
import type { Calibration } from '@tandem/shared';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { UNSURE } from '../support/exit-evidence.js';
import { removeFolder, temporaryFolder, writeRandomCheckpoint } from '../support/random-checkpoint.js';

const CALIBRATION: Calibration = {
  format: 'f32',
  codec: 'f16',
  text: { name: 'stories', sha256: 'a'.repeat(64), texts: 100, tokens: 1000 },
  delta: 0.05,
  policies: [
    { policy: 'margin', epsilon: 0.01, thresholds: [null, 0.4] },
    { policy: 'margin', epsilon: 0.02, thresholds: [0.6, 0.3] },
    { policy: 'entropy', epsilon: 0.02, thresholds: [0.5, 1.5] },
    { policy: 'max-probability', epsilon: 0.02, thresholds: [0.9, 0.5] },
  ],
};
const MODEL = { name: 'tiny', calibration: [CALIBRATION] };

describe('a calibrated policy', () => {
  it('takes the thresholds of its format, disagreement and measure', () => {
    const sureAt = (policy: 'margin' | 'entropy' | 'max-probability', evidence: Partial<ExitEvidence>) =>
      calibrated(MODEL, { format: 'f32', epsilon: 0.02, policy }).isConfident({ ...UNSURE, ...evidence });
    expect(sureAt('margin', { margin: 0.6 })).toBe(true);
    expect(sureAt('margin', { margin: 0.59 })).toBe(false);
    expect(sureAt('margin', { margin: 0.3, exit: 2 })).toBe(true);
    expect(sureAt('entropy', { entropy: 0.51 })).toBe(false);
    expect(sureAt('entropy', { entropy: 1.5, exit: 2 })).toBe(true);
    expect(sureAt('max-probability', { maxProbability: 0.5, exit: 2 })).toBe(true);
  });

  it('settles nothing at an exit without a threshold', () => {
    const policy = calibrated(MODEL, { format: 'f32', epsilon: 0.01 });
    expect(policy.isConfident({ ...UNSURE, margin: 1 })).toBe(false);
    expect(policy.isConfident({ ...UNSURE, margin: 0.4, exit: 2 })).toBe(true);
  });

  it.each([
    [
      { format: 'q8', epsilon: 0.01 },
      'epsilon 0.01: tiny is not calibrated for q8; run "tandem calibrate", or give threshold',
    ],
    [{ format: 'f32', epsilon: 0.03 }, 'epsilon 0.03: tiny is calibrated for margin at 0.01, 0.02; choose one'],
    [
      { format: 'f32', epsilon: 0.01, policy: 'entropy' as const },
      'tiny is calibrated for entropy at 0.02; choose one',
    ],
  ])('is refused for %j', (options, message) => {
    expect(() => calibrated(MODEL, options)).toThrow(message);
  });
});

describe('a session in collaborative mode', () => {
  const cloud = { url: 'ws://localhost:1' };
  let checkpoint: string;
  let bundle: string;
  let model: EdgeModel;
  const settledBy = async (options: object) => {
    const session = await model.createSession({ mode: 'collaborative', cloud, ...options });
    await session.dispose();
    return session.policy.name;
  };

  beforeAll(async () => {
    checkpoint = await writeRandomCheckpoint({ fittedExits: [1, 3] });
    bundle = join(await temporaryFolder('calibrated'), 'bundle');
    const manifest = await prepareBundle({ checkpoint, formats: ['f32'], out: bundle });
    const path = join(bundle, 'manifest.json');
    expect(JSON.parse(await readFile(path, 'utf8'))).toEqual(manifest);
    await writeFile(path, JSON.stringify({ ...manifest, calibration: [CALIBRATION] }));
    model = await EdgeModel.load(bundle, { threads: 1 });
  });
  afterAll(async () => {
    await model.dispose();
    await removeFolder(checkpoint);
    await removeFolder(join(bundle, '..'));
  });

  it('takes the bundle for its word, at 1 % unless told otherwise', async () => {
    expect(await settledBy({})).toBe('calibrated margin never, 0.4, disagreement 0.01 in f32');
    expect(await settledBy({ epsilon: 0.02 })).toBe('calibrated margin 0.6, 0.3, disagreement 0.02 in f32');
    expect(await settledBy({ threshold: 0.7 })).toBe('max probability 0.7');
    expect(await settledBy({ policy: { name: 'mine', isConfident: () => true } })).toBe('mine');
    expect(await settledBy({ mode: 'exact' })).toBe('max probability 0.8');
    expect(await settledBy({ mode: 'exact', threshold: 0.7 })).toBe('max probability 0.7');
  });

  it.each([
    [{ epsilon: 0.03 }, /^INVALID_OPTION: epsilon 0.03: \S+ is calibrated for margin at 0.01, 0.02; choose one$/],
    [{ epsilon: 0.02, threshold: 0.5 }, /epsilon: it brings its own thresholds/],
    [{ epsilon: 0.02, mode: 'exact' }, /epsilon: only collaborative mode/],
    [{ epsilon: 0 }, /epsilon: /],
  ])('refuses %j', async (options, message) => {
    await expect(settledBy(options)).rejects.toThrow(message);
  });
});
