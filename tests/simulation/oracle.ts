import type { GeneratedToken } from '@tandem/edge';
import { chooseToken } from '@tandem/shared';
import type { HandOffOracle } from './hand-off-oracle.js';
import { advance, EOS, exitLogits, finalLogits, initialStates } from './hash-chain.js';
import { LARGER_MODEL, largerState, largerToken } from './larger-text.js';
import type { ClientPlan, Turn } from './scenario.js';

export interface Expectation {
  plan: ClientPlan;
  turn: Turn;
  prompt: readonly number[];
  accuracy: readonly number[];
  hasEos: boolean;
  /** Present where every passage has one right place. */
  handOff?: HandOffOracle | undefined;
}

/**
 * What one process would have said, token for token on the text so far; so a stretch that the device settled alone does
 * not excuse what follows. Returns the first thing that is wrong, in words.
 */
export function firstWrong(tokens: readonly GeneratedToken[], expected: Expectation): string | undefined {
  const { turn, prompt, hasEos } = expected;
  let states = initialStates(0);
  let largerText = largerState(prompt);
  for (const token of prompt) states = advance(0, states, token);
  for (const [index, token] of tokens.entries()) {
    const position = prompt.length + index;
    if (token.position !== position) return `token ${index} has position ${token.position}, expected ${position}`;
    if (index >= turn.maxOutputTokens) return `token ${index} of at most ${turn.maxOutputTokens}`;
    if (hasEos && tokens[index - 1]?.id === EOS) return `token ${index} behind the end of the text`;
    const isLarger = expected.handOff?.isLarger(position, states.at(-1)!);
    if (isLarger !== undefined && isLarger !== (token.origin.kind === 'larger-model')) {
      return `token ${index}: by the ${isLarger ? 'small' : 'larger'} model, out of place`;
    }
    const wrong =
      token.origin.kind === 'larger-model'
        ? wrongPassage(token.id, token.origin.model, largerText, expected)
        : wrongToken(token, states.at(-1)!, expected);
    if (wrong) return `token ${index}: ${wrong}`;
    states = advance(0, states, token.id);
    largerText = largerState([token.id], largerText);
  }
  return undefined;
}

function wrongPassage(id: number, model: string, text: number, { plan, hasEos }: Expectation): string | undefined {
  if (plan.options.largerModel !== 'allow') return 'written by a larger model, without consent';
  if (model !== LARGER_MODEL) return `written by ${model}`;
  const right = largerToken(text, hasEos);
  return id === right ? undefined : `${id} instead of ${right}, written by the larger model`;
}

function wrongToken(token: GeneratedToken, state: number, { plan, turn, accuracy }: Expectation): string | undefined {
  const { origin } = token;
  if (origin.kind === 'larger-model') return 'written by a larger model';
  const sampling = { temperature: turn.temperature, topK: 0, topP: 1, minP: 0, seed: turn.seed };
  const byCloud = origin.kind === 'cloud' || origin.verified;
  if (!byCloud && origin.degraded && plan.options.onCloudUnavailable !== 'degrade') return 'degraded, against orders';
  if (!byCloud && !origin.degraded && plan.options.mode !== 'collaborative') return 'settled unverified';
  const stage = byCloud ? undefined : origin.stage - 1;
  const logits = stage === undefined ? finalLogits(state) : exitLogits(stage, state, accuracy[stage]!);
  const right = chooseToken(logits, sampling, token.position);
  if (token.id === right) return undefined;
  return `${token.id} instead of ${right}, settled by ${byCloud ? 'the cloud' : `exit ${origin.stage}`}`;
}

/** Whether a text of so many tokens may be the whole of it. */
export function isWhole(tokens: readonly GeneratedToken[], finishReason: string, expected: Expectation): boolean {
  const { plan, turn, prompt, hasEos } = expected;
  const full = Math.min(turn.maxOutputTokens, plan.options.capacity - prompt.length);
  const ended = hasEos && tokens.at(-1)?.id === EOS;
  return ended ? finishReason === 'stop' : finishReason === 'length' && tokens.length === full;
}
