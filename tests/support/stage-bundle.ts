import { join } from 'node:path';
import { prepareBundle } from '@tandem/model-kit';
import type { Format } from '@tandem/shared';
import { type Bundle, openBundle } from '@tandem/shared/node';
import { removeFolder, writeRandomCheckpoint } from './random-checkpoint.js';

/** A small bundle for those who load its stages one by one: 0 ends in a fitted exit, 1 has no head, 2 ends in the model's. */
export interface StageBundle {
  bundle: Bundle;
  remove(): Promise<void>;
}

export async function makeStageBundle(formats: readonly Format[]): Promise<StageBundle> {
  const checkpoint = await writeRandomCheckpoint({ fittedExits: [1] });
  const out = join(checkpoint, 'bundle');
  await prepareBundle({ checkpoint, exits: [1], cut: 3, formats, out });
  return { bundle: await openBundle(out), remove: () => removeFolder(checkpoint) };
}
