import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { EdgeModel } from '@tandem/edge';
import { type ObservedText, Observer, tellTexts } from '@tandem/model-kit';
import type { Format } from '@tandem/shared';
import { loadChainEngine } from '@tandem/shared/node';

/** Validation text that the embedded model never saw; outside the repository, so it can be missing. */
const VALIDATION = fileURLToPath(
  new URL('../../../shared/data/corpus/tinystories/v1-valid-first-half.txt', import.meta.url),
);
/** Nothing else marks where a story begins; the few that begin otherwise stay with the one before. */
const STORY_BEGINS = /\n\n(?=Once upon a time)/;
const STORY_TOKENS_MAX = 256;
const TOLD_TOKENS = 100;
const CODEC = 'f16';

export interface ObservedStories {
  stories: ObservedText[];
  origin: 'validation' | 'told-by-the-model';
  positions: number;
}

/** Whole stories, up to about `tokens` tokens, as the exits and the whole model of a bundle see them. */
export async function observeStories(bundle: string, format: Format, tokens: number): Promise<ObservedStories> {
  const model = await EdgeModel.load(bundle, { format, threads: 1 });
  const engine = await loadChainEngine({ directory: bundle, format, threads: 1, preload: 'all' });
  try {
    const { manifest } = model;
    const observer = new Observer(engine, manifest, CODEC);
    const content = await readFile(VALIDATION, 'utf8').catch(() => undefined);
    const texts = content
      ? content.split(STORY_BEGINS).map((story) => ({ tokens: model.tokenizer.encode(story.trim()), first: 0 }))
      : // A seed that no calibration uses.
        await tellTexts(engine, manifest, {
          texts: Math.ceil(tokens / TOLD_TOKENS),
          tokens: TOLD_TOKENS,
          seed: 77,
          codec: CODEC,
        });
    const stories: ObservedText[] = [];
    let positions = 0;
    for (const text of texts) {
      if (positions >= tokens) break;
      const story = await observer.observe(text.tokens.slice(0, STORY_TOKENS_MAX), text.first);
      positions += story.truth.length;
      stories.push(story);
    }
    return { stories, origin: content ? 'validation' : 'told-by-the-model', positions };
  } finally {
    await engine.dispose();
    await model.dispose();
  }
}
