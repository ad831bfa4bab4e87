import { systemClock } from '@tandem/shared';
import { AllocationGuard } from './allocation-guard.js';
import { check, type Verdict } from './fuzz-case.js';
import { controlInput, type FuzzInput, frameInput } from './inputs.js';

export type InputKind = 'frame' | 'control';

export const INPUTS: Record<InputKind, (seed: string, index: number) => FuzzInput> = {
  frame: frameInput,
  control: controlInput,
};

export interface FuzzRange {
  kind: InputKind;
  seed: string;
  first: number;
  end: number;
  step: number;
  stopsAtFailure: boolean;
  /** No input is begun later than this. */
  budgetMs: number;
}

export interface FuzzFailure {
  kind: InputKind;
  index: number;
  what: string;
  hex: string;
}

export interface FuzzReport {
  /** Inputs that were run, by what came of them. */
  verdicts: Record<Verdict | 'failed', number>;
  failures: FuzzFailure[];
}

/** The clock is read once for so many inputs. */
const CLOCK_INPUTS = 1_024;
/** More of the same say no more. */
const FAILURES_KEPT = 20;

/** Every `step`-th input of a range, on this thread. */
export function runRange({ kind, seed, first, end, step, stopsAtFailure, budgetMs }: FuzzRange): FuzzReport {
  const report: FuzzReport = { verdicts: { refused: 0, message: 0, forward: 0, rows: 0, failed: 0 }, failures: [] };
  const endMs = systemClock.now() + budgetMs;
  const guard = new AllocationGuard();
  const stackLines = Error.stackTraceLimit;
  // Millions of refusals: what a stack costs is not what is looked at here.
  Error.stackTraceLimit = 0;
  guard.install();
  try {
    for (let index = first; index < end && (index % CLOCK_INPUTS >= step || systemClock.now() < endMs); index += step) {
      const input = INPUTS[kind](seed, index);
      try {
        report.verdicts[check(input, guard)]++;
      } catch (error) {
        report.verdicts.failed++;
        const what = error instanceof Error ? error.message : String(error);
        const failure = { kind, index, what, hex: Buffer.from(input.bytes).toString('hex') };
        if (report.failures.length < FAILURES_KEPT) report.failures.push(failure);
        if (stopsAtFailure) break;
      }
    }
  } finally {
    guard.remove();
    Error.stackTraceLimit = stackLines;
  }
  return report;
}

export function addUp(reports: readonly FuzzReport[]): FuzzReport {
  const total: FuzzReport = { verdicts: { refused: 0, message: 0, forward: 0, rows: 0, failed: 0 }, failures: [] };
  for (const { verdicts, failures } of reports) {
    for (const key of Object.keys(verdicts) as (keyof typeof verdicts)[]) total.verdicts[key] += verdicts[key];
    total.failures.push(...failures);
  }
  return total;
}
