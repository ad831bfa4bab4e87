import { Worker } from 'node:worker_threads';
import { type Clock, TandemError } from '@tandem/shared';
import type { TokenizerSplitting } from '@tandem/shared/tokenizer';
import type { PatternNews } from './pattern-worker.js';

/** Usual patterns take a tenth of it for all their probes. A busy machine gets a second try. */
const PROBES_MS_MAX = 250;
const TRIES = 2;
/** Backtracking keeps its way on a stack of its own, which the runtime bounds. */
const HEAP_MIB_MAX = 64;

/**
 * Refuses a tokenizer whose patterns can take for ever on some text: whoever could send a text would stop the device, or the
 * server. Patterns are compiled and run on texts that are hard for bad ones, on a thread that can be ended.
 *
 * @throws TandemError CHECKPOINT_INVALID
 */
export async function checkTokenizer(tokenizer: unknown, clock: Clock): Promise<void> {
  const splitting = splittingOf(tokenizer);
  // Starting a thread takes longer than reading a small checkpoint, and most of the parts hold no pattern.
  if (!JSON.stringify(splitting).includes('"Regex"')) return;
  for (let tries = 0; tries < TRIES; tries++) {
    const outcome = await probe(splitting, clock);
    if (outcome.kind === 'passed') return;
    if (outcome.kind === 'invalid')
      throw new TandemError(
        'CHECKPOINT_INVALID',
        `tokenizer.json has a pattern that cannot be used: ${outcome.reason}`,
      );
  }
  const message = `tokenizer.json has a pattern that takes more than ${PROBES_MS_MAX} ms on a short text; such a model could be stopped by a prompt`;
  throw new TandemError('CHECKPOINT_INVALID', message);
}

function splittingOf(tokenizer: unknown): TokenizerSplitting {
  const { normalizer, pre_tokenizer, decoder } = (tokenizer ?? {}) as TokenizerSplitting;
  return { normalizer, pre_tokenizer, decoder };
}

function probe(splitting: TokenizerSplitting, clock: Clock): Promise<PatternNews | { kind: 'endless' }> {
  const worker = new Worker(new URL('./pattern-worker.js', import.meta.url), {
    workerData: splitting,
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MIB_MAX },
  });
  return new Promise((resolve) => {
    let cancel = () => {};
    const end = (outcome: PatternNews | { kind: 'endless' }) => {
      cancel();
      void worker.terminate();
      resolve(outcome);
    };
    worker.on('message', (news: PatternNews) => {
      if (news.kind === 'begins') cancel = clock.schedule(PROBES_MS_MAX, () => end({ kind: 'endless' }));
      else end(news);
    });
    worker.on('error', (cause) => end({ kind: 'invalid', reason: String(cause) }));
  });
}
