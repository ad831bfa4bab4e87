import { Command, InvalidArgumentError, Option } from 'commander';

export interface ScaleOutOptions {
  devices: number;
  rounds: number;
  balance: 'uri' | 'roundrobin';
  json: boolean;
}

export function parseScaleOutOptions(argv: string[]): ScaleOutOptions {
  return new Command('scale-out')
    .description(
      'Three servers behind HAProxy; links are cut, servers killed and drained, and every text stays the same.',
    )
    .option('--devices <count>', 'sessions at a time', wholeNumber, 12)
    .option('--rounds <count>', 'rounds of a cut, a kill and a drain', wholeNumber, 2)
    .addOption(
      new Option('--balance <how>', 'uri hashes the session id; roundrobin is the control experiment')
        .choices(['uri', 'roundrobin'])
        .default('uri'),
    )
    .option('--json', 'print only the line of JSON', false)
    .parse(argv)
    .opts<ScaleOutOptions>();
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('a whole number, 1 or more');
  return value;
}
