import type { ReplayModel } from './replay-model.js';
import type { Story, Telling } from './telling.js';

/**
 * Tokens that the whole model would have chosen, too, after the text that was really there. So one early difference, after
 * which two texts go different ways, counts once.
 */
export async function countAgreed(
  model: ReplayModel,
  lastStage: number,
  story: Story,
  telling: Telling,
): Promise<number> {
  let node = model.node(story.promptTokens);
  let agreed = 0;
  for (const token of telling.tokens) {
    if ((await model.choice(node, lastStage)).token === token) agreed++;
    node = model.trie.child(node, token);
  }
  return agreed;
}
