/** Natural logarithms of probabilities in the model's own distribution (temperature 1, nothing dropped). */
export interface TokenLogprobs {
  logprob: number;
  /** The likeliest tokens, likeliest first; of equal ones the smaller id. */
  top: { token: number; logprob: number }[];
}

/** Stands for less: JSON knows no infinity, and OpenAI's clients know this number. */
export const LOGPROB_MIN = -9_999;

/** Log-softmax of `logits (vocabularySize)` at `token` and at the `count` likeliest ones. */
export function logprobsOf(logits: Float32Array, token: number, count: number): TokenLogprobs {
  let highest = -Infinity;
  for (const logit of logits) if (logit > highest) highest = logit;
  let sum = 0;
  for (const logit of logits) if (logit > -Infinity) sum += Math.exp(logit - highest);
  const scale = highest + Math.log(sum);
  const logprobAt = (at: number) => {
    const logprob = logits[at]! - scale;
    return Number.isNaN(logprob) ? LOGPROB_MIN : Math.max(logprob, LOGPROB_MIN);
  };
  return {
    logprob: logprobAt(token),
    top: likeliest(logits, count).map((at) => ({ token: at, logprob: logprobAt(at) })),
  };
}

/** By insertion: `count` is small. */
function likeliest(logits: Float32Array, count: number): number[] {
  const best: number[] = [];
  for (let token = 0; token < logits.length && count > 0; token++) {
    const logit = logits[token]!;
    if (best.length === count && !(logit > logits[best.at(-1)!]!)) continue;
    let at = best.length;
    while (at > 0 && logit > logits[best[at - 1]!]!) at--;
    best.splice(at, 0, token);
    if (best.length > count) best.pop();
  }
  return best;
}

/** For the wire: `[logprob, token, logprob, token, logprob …]`. */
export function packLogprobs({ logprob, top }: TokenLogprobs): number[] {
  return [logprob, ...top.flatMap((other) => [other.token, other.logprob])];
}

export function unpackLogprobs([logprob = LOGPROB_MIN, ...rest]: readonly number[]): TokenLogprobs {
  const top: TokenLogprobs['top'] = [];
  for (let at = 0; at + 1 < rest.length; at += 2) top.push({ token: rest[at]!, logprob: rest[at + 1]! });
  return { logprob, top };
}
