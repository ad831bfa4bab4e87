/** Runs the patterns of a tokenizer on texts that are hard for bad ones; ended from outside when it takes too long. */
import { parentPort, workerData } from 'node:worker_threads';
import { type TokenizerSplitting, tokenizerPatterns } from '@tandem/shared/tokenizer';
import { probesFor } from './pattern-probes.js';

/** What the thread says: that it begins, then how it ended. */
export type PatternNews = { kind: 'begins' } | { kind: 'invalid'; reason: string } | { kind: 'passed' };

const say = (news: PatternNews) => parentPort!.postMessage(news);

try {
  const patterns = tokenizerPatterns(workerData as TokenizerSplitting);
  say({ kind: 'begins' });
  for (const pattern of patterns) for (const probe of probesFor(pattern)) probe.replaceAll(pattern, '');
  say({ kind: 'passed' });
} catch (error) {
  say({ kind: 'invalid', reason: error instanceof Error ? error.message : String(error) });
}
