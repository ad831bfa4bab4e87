import {
  type DraftBehaviour,
  draftThreshold,
  PROFILES,
  type Profile,
  ROW_CODEC_NAMES,
  type RowCodecName,
  rowCodec,
  sendThreshold,
  TandemError,
} from '@tandem/shared';
import { Command, InvalidArgumentError, Option } from 'commander';
import { type LinkPlan, PLANNED_MODES, planLink } from '../planning/link-plan.js';
import { formatTable } from './text.js';

interface PlanFlags {
  profile: string;
  rtt: number[];
  acceptance: number[];
  unsure: number;
  epsilon: number;
  rescue: number;
  cloudPrice: number;
  codec: RowCodecName;
  json?: boolean;
}

/** `tandem plan`: what the decode loop's cost model expects, and when the split does not pay. */
export function planCommand(): Command {
  return new Command('plan')
    .description('Predict milliseconds per token by mode and round trip, from the cost model of the decode loop.')
    .addOption(new Option('--profile <name>', 'stage times').choices(Object.keys(PROFILES)).default('ce-collm-7b'))
    .option('--rtt <ms,…>', 'round trips', numbers, [0, 10, 20, 50, 80, 150])
    .option(
      '--acceptance <share,…>',
      'right drafts by exit (default: the embedded model, greedy)',
      numbers,
      [0.7, 0.85],
    )
    .option('--unsure <share>', 'tokens of which no exit is sure at 0.8', number, 0.79)
    .option('--epsilon <share>', 'disagreement allowed in collaborative mode', number, 0.01)
    .option('--rescue <share>', 'wrong first drafts that the next exit puts right', number, 0.45)
    .option('--cloud-price <weight>', 'what a millisecond of the server is worth', number, 0.4)
    .addOption(new Option('--codec <name>', 'how rows travel').choices(ROW_CODEC_NAMES).default('f16'))
    .option('--json', 'print one line of JSON')
    .action(runPlan);
}

function runPlan(flags: PlanFlags): void {
  const profile = PROFILES[flags.profile]!;
  const behaviour = behaviourOf(flags, profile);
  const rows = flags.rtt.map((rttMs) => planLink(profile, rttMs, behaviour));
  if (flags.json) {
    console.log(JSON.stringify({ profile: profile.name, behaviour, rows }));
    return;
  }
  const head = ['RTT ms', ...PLANNED_MODES, 'best', 'drafts per forward', 'first exit from', 'send at'];
  const table = rows.map(({ rttMs, msPerToken, best, draftsPerForward, costs }) => [
    String(rttMs),
    ...PLANNED_MODES.map((mode) => msPerToken[mode].toFixed(1)),
    best,
    draftsPerForward.toFixed(1),
    draftThreshold(costs).toFixed(2),
    sendThreshold(costs).toFixed(2),
  ]);
  console.log(`Milliseconds per token on ${profile.name}, predicted; bench decode measures them.\n`);
  console.log(formatTable([head, ...table]));
  console.log(`\n${verdict(rows)}\n\n${profile.sources.map((source) => `- ${source}`).join('\n')}`);
}

function verdict(rows: readonly LinkPlan[]): string {
  const paying = rows.filter(({ msPerToken }) => msPerToken.exact <= msPerToken['cloud-only']);
  if (paying.length === 0) return 'The split is slower than cloud-only on all these links; it saves server time only.';
  const last = Math.max(...paying.map(({ rttMs }) => rttMs));
  if (paying.length === rows.length) return `Exact mode is at least as fast as cloud-only on all these links.`;
  return `Exact mode is at least as fast as cloud-only up to ${last} ms; above that use cloud-only, or the split to save server time.`;
}

function behaviourOf(flags: PlanFlags, profile: Profile): DraftBehaviour {
  const { acceptance, unsure, epsilon, rescue, cloudPrice, codec } = flags;
  if (acceptance.some((share) => share > 1)) {
    throw new TandemError(
      'INVALID_OPTION',
      `--acceptance ${acceptance.join(',')}: shares between 0 and 1, one per exit`,
    );
  }
  const bytesPerRow = rowCodec(codec).bytesPerRow(profile.width);
  return { acceptance, unsureShare: unsure, epsilon, rescueShare: rescue, cloudPrice, bytesPerRow };
}

function number(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value < 0) throw new InvalidArgumentError('a number, 0 or more');
  return value;
}

function numbers(text: string): number[] {
  return text.split(',').map(number);
}
