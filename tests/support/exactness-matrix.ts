import type { LinkProfile } from '@tandem/netsim';
import { presets } from '@tandem/netsim';
import { expect } from 'vitest';
import { type Bench, tell, tellUnsplit } from './exactness.js';

export const FORMATS = ['f32', 'q8'] as const;
export const TEMPERATURES = [0, 0.8];

/** No link at all, and 4G that breaks three times: before a forward is answered, in mid-answer, and once more. */
export const LINKS: Record<string, LinkProfile | undefined> = {
  'no link': undefined,
  '4g with three cuts': {
    ...presets['4g'],
    cuts: [
      { afterFrames: 3, direction: 'up' },
      { afterFrames: 5, direction: 'down' },
      { afterFrames: 10, direction: 'up' },
    ],
  },
};

/** Sessions at a time: a story over 4G mostly waits. */
const CONCURRENCY = 12;

/** Every story equals the unsplit one, token for token. Returns the tokens compared. */
export async function expectEqualStories(
  bench: Bench,
  openings: readonly string[],
  temperature: number,
  maxOutputTokens: number,
  link: LinkProfile | undefined,
): Promise<number> {
  let compared = 0;
  const queue = openings.map((opening, index) => ({ opening, temperature, seed: index + 1, maxOutputTokens }));
  const worker = async () => {
    for (let story = queue.shift(); story; story = queue.shift()) {
      const split = await tell(bench, story, link);
      const unsplit = await tellUnsplit(bench, story);
      expect(
        split.tokens.map(({ id }) => id),
        `"${story.opening}", seed ${story.seed}`,
      ).toEqual(unsplit);
      compared += unsplit.length;
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
  return compared;
}
