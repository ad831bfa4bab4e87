/**
 * Which exit policy settles most on the device for a given disagreement?
 *
 * Stories that the embedded model never saw (where they are missing, what it tells by itself; the output says so) run once
 * through the real stages; then every policy decides, for each of its settings, token by token and exit by exit, as in a
 * session in collaborative mode. Agreement: share of all tokens that are the whole model's greedy choice, given the same text
 * so far. The calibrated policies get their thresholds from every second story and are judged on the others; the other
 * policies are swept on the same half, so their curves are hindsight, not a promise. The oracle knows the right answer.
 *
 * Then, 200 times: the stories are split at random, calibrated on one half and counted on the other. The promise is that at
 * most δ of the splits disagree more than ε on the half that was not looked at.
 */
import { fileURLToPath } from 'node:url';
import { calibrated, type ExitPolicy } from '@tandem/edge';
import { cachedBundle, calibrateThresholds, type ObservedText } from '@tandem/model-kit';
import { CALIBRATED_POLICY_NAMES, type CalibratedPolicyName } from '@tandem/shared';
import { observeStories } from './observed-stories.js';
import { POLICY_FAMILIES, type PolicyFamily } from './policy-families.js';
import { type PolicyOutcome, PolicyReplay } from './policy-replay.js';
import { currentCommit, describeMachine, formatColumns } from './report.js';
import { checkSplits, type SplitResult } from './split-check.js';

const MODEL = fileURLToPath(new URL('../../models/tales', import.meta.url));
/** All of it: a promise of 1 % takes many texts to show. */
const TOKENS = 200_000;
const FORMAT = 'q8';
const EPSILONS = [0.005, 0.01, 0.02, 0.05] as const;
/** As `tandem calibrate --text` has it. */
const GUARANTEE = { delta: 0.05, unitTokensMax: 32 };
const SPLITS = 200;
const SEED = 1;
/** The link for policies that look at it; any other round trip is another mixture of their two thresholds. */
const ROUND_TRIP_MS = 50;

type Point = PolicyOutcome & { setting: number };

export interface PolicyRow {
  policy: string;
  source: string;
  points: Point[];
  /** Most that a setting settles with at most this disagreement. */
  settledAt: Record<string, number>;
}

export async function benchPolicies(options: { json?: boolean; model?: string; tokens?: number }): Promise<void> {
  const say = options.json ? () => {} : console.log;
  const bundle = await cachedBundle(options.model ?? MODEL, { formats: [FORMAT] });
  const { stories, origin } = await observeStories(bundle, FORMAT, options.tokens ?? TOKENS);
  const replay = new PolicyReplay(half(stories, 1), ROUND_TRIP_MS);
  say(`${stories.length} stories, judged on ${replay.positions} tokens, ${FORMAT}, text: ${origin}\n`);
  const oracle = replay.oracle();
  const rows = [
    ...POLICY_FAMILIES.map((family) => sweep(family, replay)),
    ...CALIBRATED_POLICY_NAMES.map((policy) => judgeCalibrated(policy, half(stories, 0), replay)),
  ];
  say(formatTable(rows, oracle));
  const splits = CALIBRATED_POLICY_NAMES.flatMap((policy) =>
    checkSplits(stories, { policy, epsilons: EPSILONS, ...GUARANTEE, splits: SPLITS, seed: SEED }),
  );
  say(`\n${formatSplits(splits)}`);
  const place = { machine: describeMachine(), commit: currentCommit() };
  const result = {
    bench: 'policies',
    text: origin,
    format: FORMAT,
    positions: replay.positions,
    delta: GUARANTEE.delta,
  };
  console.log(JSON.stringify({ ...result, oracle, rows, splits, seed: SEED, ...place }));
}

function half(stories: readonly ObservedText[], remainder: 0 | 1): ObservedText[] {
  return stories.filter((_, i) => i % 2 === remainder);
}

function sweep({ name, source, settings, make }: PolicyFamily, replay: PolicyReplay): PolicyRow {
  const points = settings.map((setting) => ({ setting, ...replay.run(make(setting)) }));
  const settledAt = (epsilon: number) =>
    points.reduce((most, { agreement, settled }) => (1 - agreement <= epsilon ? Math.max(most, settled) : most), 0);
  return { policy: name, source, points, settledAt: byEpsilon(settledAt) };
}

/** One point per ε; whether it kept its promise here is in its agreement. */
function judgeCalibrated(
  policy: CalibratedPolicyName,
  other: readonly ObservedText[],
  replay: PolicyReplay,
): PolicyRow {
  const found = calibrateThresholds(other, policy, { epsilons: EPSILONS, ...GUARANTEE });
  const points = found.map(({ epsilon, thresholds }) => {
    const text = { name: 'validation', sha256: '', texts: other.length, tokens: 0 };
    const policies = [{ policy, epsilon, thresholds }];
    const calibration = [{ format: FORMAT, codec: 'f16' as const, text, delta: GUARANTEE.delta, policies }] as const;
    const made: ExitPolicy = calibrated(
      { name: '', calibration: [...calibration] },
      { format: FORMAT, epsilon, policy },
    );
    return { setting: epsilon, ...replay.run(made) };
  });
  const settledAt = (epsilon: number) => points.find(({ setting }) => setting === epsilon)!.settled;
  return {
    policy: `calibrated ${policy}`,
    source: 'Learn then Test, Angelopoulos et al. 2021',
    points,
    settledAt: byEpsilon(settledAt),
  };
}

function byEpsilon(settledAt: (epsilon: number) => number): Record<string, number> {
  return Object.fromEntries(EPSILONS.map((epsilon) => [String(epsilon), settledAt(epsilon)]));
}

function formatSplits(splits: readonly SplitResult[]): string {
  const head = ['calibrated on one half', 'epsilon', 'other half disagrees more', 'mean disagreement', 'mean settled'];
  const percent = (value: number) => `${(value * 100).toFixed(2)} %`;
  const lines = splits.map(({ policy, epsilon, exceeded, disagreement, settled }) => [
    policy,
    percent(epsilon),
    `${percent(exceeded)} of splits`,
    percent(disagreement),
    percent(settled),
  ]);
  return formatColumns([head, ...lines]);
}

function formatTable(rows: readonly PolicyRow[], oracle: PolicyOutcome): string {
  const percent = (value: number) => `${(value * 100).toFixed(1)} %`;
  const head = ['policy', ...EPSILONS.map((epsilon) => `settled at ${percent(epsilon)}`)];
  const lines = rows.map(({ policy, settledAt }) => [policy, ...EPSILONS.map((e) => percent(settledAt[String(e)]!))]);
  const last = ['oracle, no disagreement', ...EPSILONS.map(() => percent(oracle.settled))];
  return formatColumns([head, ...lines, last]);
}
