import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { cachedBundle } from '@tandem/model-kit';
import type { Format } from '@tandem/shared';

/** As a source file, or compiled into `dist`. */
const root = new URL(import.meta.url.includes('/tests/dist/') ? '../../../' : '../../', import.meta.url);

/** The embedded model. */
export const TALES = fileURLToPath(new URL('models/tales', root));

/** Folder of the embedded model's bundle with these formats; made on first use, then cached. */
export function talesBundle(formats: Format[] = ['f32', 'q8']): Promise<string> {
  return cachedBundle(TALES, { exits: [2, 4], cut: 4, formats });
}

/** One hundred ways to begin a story, written for this project; they are in no training text. */
export const OPENINGS: readonly string[] = readFileSync(`${TALES}/openings.txt`, 'utf8').trim().split('\n');
