import { type Clock, systemRandom } from '@tandem/shared';
import type { Bundle } from '@tandem/shared/node';
import { loadTokenizer, type Tokenizer } from '@tandem/shared/tokenizer';
import { CompletionEngine } from './completions/completion-engine.js';
import { Completions } from './completions/completions.js';
import { CompletionsDoor } from './completions/completions-door.js';
import type { Doorkeeper } from './gateway/doorkeeper.js';
import { ROLLING_ENTROPY_DEFAULTS, rollingEntropyHandOff } from './larger-model/hand-off-policy.js';
import { LargerModel } from './larger-model/larger-model.js';
import type { Log } from './log.js';
import type { Metrics } from './metrics/metrics.js';
import type { ParsedServerOptions } from './options.js';
import type { StepRunner } from './scheduler/step-runner.js';

export interface TextSideParts {
  bundle: Bundle;
  options: ParsedServerOptions;
  scheduler: StepRunner;
  doorkeeper: Doorkeeper;
  clock: Clock;
  log: Log;
  metrics: Metrics;
}

/** What a server does with text. One that is asked for none of it loads no tokenizer, and knows only rows and ids. */
export interface TextSide {
  door: CompletionsDoor | undefined;
  largerModel: LargerModel | undefined;
  /** Ends what is under way. */
  stop(): Promise<void>;
}

/** @throws TandemError BUNDLE_NOT_FOUND, BUNDLE_CORRUPT */
export async function openTextSide(parts: TextSideParts): Promise<TextSide> {
  const { bundle, options } = parts;
  const needsText = options.completions || options.largerModelUrl !== undefined;
  if (!needsText) return { door: undefined, largerModel: undefined, stop: async () => {} };
  const tokenizer = loadTokenizer(await bundle.readVerified(bundle.tokenizerFile), bundle.manifest.bosTokenId);
  const completions = options.completions ? createCompletions(parts, tokenizer) : undefined;
  return {
    door: completions && new CompletionsDoor({ completions, doorkeeper: parts.doorkeeper, log: parts.log }),
    largerModel: createLargerModel(parts, tokenizer),
    stop: async () => completions?.stop(),
  };
}

function createCompletions({ bundle, scheduler }: TextSideParts, tokenizer: Tokenizer): Completions {
  const { name, eosTokenIds: ids } = bundle.manifest;
  const eosTokenIds = new Set(ids);
  const engine = new CompletionEngine({ scheduler, eosTokenIds });
  return new Completions({ model: name, engine, tokenizer, eosTokenIds, random: systemRandom });
}

function createLargerModel(
  { bundle, options, clock, log, metrics }: TextSideParts,
  tokenizer: Tokenizer,
): LargerModel | undefined {
  const { largerModelUrl: url, largerModelName: model, largerModelKey: key } = options;
  if (url === undefined || model === undefined) return undefined;
  const { largerModelCeiling: ceiling, largerModelFloor: floor } = options;
  return new LargerModel({
    endpoint: { url, model, key },
    policy: rollingEntropyHandOff({ ...ROLLING_ENTROPY_DEFAULTS, ceiling, floor }),
    tokenizer,
    eosTokenIds: bundle.manifest.eosTokenIds,
    tokensMax: options.largerModelTokens,
    timeoutMs: options.largerModelTimeoutMs,
    clock,
    log,
    metrics,
  });
}
