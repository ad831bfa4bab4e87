import fc from 'fast-check';
import { COMMANDS, SessionComparison } from './session-commands.js';
import type { ModelPlant } from './session-model.js';

/** Plays so many sequences of commands; the error has the seed and the smallest sequence that still fails. */
export async function compareSessions(
  sequences: number,
  seed: number,
  plant?: ModelPlant,
): Promise<{ failed: boolean; error: string }> {
  const property = fc.asyncProperty(COMMANDS, (commands) => new SessionComparison(plant).play(commands));
  const details = await fc.check(property, { numRuns: sequences, seed, endOnFailure: plant !== undefined });
  return { failed: details.failed, error: fc.defaultReportMessage(details) ?? '' };
}
