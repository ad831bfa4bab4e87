import { presets } from '@tandem/netsim';
import { FORMATS, type Format, ROW_CODEC_NAMES, type RowCodecName } from '@tandem/shared';
import { Command, InvalidArgumentError, Option } from 'commander';

export interface StoryOptions {
  prompt: string;
  mode: 'exact' | 'collaborative' | 'device-only' | 'cloud-only';
  link: string;
  maxTokens: number;
  seed: number;
  temperature: number;
  draftLength?: number;
  threshold?: number;
  codec: RowCodecName;
  format: Format;
  json: boolean;
}

/** Prints help or a hint and ends the process where the arguments ask for it. */
export function parseStoryOptions(argv: string[]): StoryOptions {
  return new Command('demo')
    .description('Tells a story, split between a device and a server over a simulated link.')
    .option('--prompt <text>', 'how the story begins', 'Once upon a time')
    .addOption(
      new Option('--mode <mode>', 'who settles a token')
        .choices(['exact', 'collaborative', 'device-only', 'cloud-only'])
        .default('exact'),
    )
    .addOption(new Option('--link <name>', 'simulated link').choices(['none', ...Object.keys(presets)]).default('4g'))
    .option('--max-tokens <count>', 'tokens to tell at most', wholeNumber, 120)
    .option('--seed <number>', 'the same seed tells the same story, on every link', wholeNumber, 7)
    .option('--temperature <number>', '0 always takes the likeliest token', decimal, 0.8)
    .option('--draft-length <count>', 'drafts that may rest on unverified drafts (exact: 6)', wholeNumber)
    .option('--threshold <probability>', 'from which on an exit counts as sure', decimal)
    .addOption(new Option('--codec <name>', 'how rows travel').choices(ROW_CODEC_NAMES).default('f16'))
    .addOption(new Option('--format <name>', 'weights').choices(FORMATS).default('q8'))
    .option('--json', 'print one line of JSON instead of the story', false)
    .showHelpAfterError('(see --help)')
    .parse(argv)
    .opts<StoryOptions>();
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) throw new InvalidArgumentError('a whole number, 0 or more');
  return value;
}

function decimal(text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value < 0) throw new InvalidArgumentError('a number, 0 or more');
  return value;
}
