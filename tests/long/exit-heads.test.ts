import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  checkpointFromWeights,
  encodeLlama2c,
  fitExits,
  importLlama2c,
  importLlama2cPieces,
  prepareBundle,
} from '@tandem/model-kit';
import { describe, expect, it } from 'vitest';
import { removeFolder, temporaryFolder } from '../support/random-checkpoint.js';

const DATA = process.env.TANDEM_DATA ?? join(dirname(fileURLToPath(import.meta.url)), '../../../shared/data');
const FILES = [
  'checkpoints/stories260K/stories260K.bin',
  'checkpoints/stories260K/tok512.bin',
  'corpus/tinystories/v1-valid-first-half.txt',
];
const files = await Promise.all(FILES.map((name) => readFile(join(DATA, name)).catch(() => undefined)));
const isPresent = files.every((file) => file !== undefined);
if (!isPresent)
  console.warn(`skipped: ${FILES.join(' or ')} is missing in ${DATA}; set TANDEM_DATA to the folder of the test data`);

/** A published model that was never trained for exits. */
describe.skipIf(!isPresent)('fitted heads on stories260K', () => {
  it('at least double the agreement of the raw exits after layers 2 and 3', async () => {
    const [weightFile, pieceFile, text] = files as Buffer[];
    const weights = importLlama2c(weightFile!);
    const pieces = importLlama2cPieces(pieceFile!, weights.shape.vocabularySize);
    const stories = text!.toString('utf8').split(/\n\n(?=Once upon a time)/);
    const texts = stories.slice(0, 100).map((story) => encodeLlama2c(pieces, story).slice(0, 160));
    const bundle = join(await temporaryFolder('stories260k'), 'bundle');
    const checkpoint = checkpointFromWeights(weights, { name: 'stories260K', bosTokenId: 1, eosTokenIds: [2] });
    await prepareBundle({ checkpoint, exits: [2, 3], cut: 3, formats: ['f32'], out: bundle });
    const fitted = await fitExits({ bundle, texts });
    await removeFolder(dirname(bundle));
    for (const { exit, raw, fitted: own } of fitted) {
      console.log(`after layer ${exit}: raw ${(100 * raw).toFixed(1)} %, fitted ${(100 * own).toFixed(1)} %`);
      expect(own, `after layer ${exit}`).toBeGreaterThan(2 * raw);
    }
  });
});
