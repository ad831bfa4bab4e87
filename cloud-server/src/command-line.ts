import { readFileSync } from 'node:fs';
import { TandemError } from '@tandem/shared';
import { Command, CommanderError } from 'commander';
import {
  environmentOf,
  flagOf,
  OPTION_NAMES,
  OPTION_ROWS,
  type OptionName,
  type ParsedServerOptions,
  parseServerOptions,
  serverOptionsSchema,
} from './options.js';

export type CommandLine = { kind: 'serve'; options: ParsedServerOptions } | { kind: 'print'; text: string };

/**
 * Flags before environment before the file of `--config` before defaults. The only door to commander.
 *
 * @param args without node and the script
 * @throws TandemError INVALID_OPTION
 */
export function readCommandLine(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  version: string,
): CommandLine {
  let printed = '';
  const command = buildCommand(version).configureOutput({
    writeOut: (text) => {
      printed += text;
    },
    writeErr: () => {},
  });
  try {
    command.parse(args, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return { kind: 'print', text: printed };
    const message = error.message.replace(/^error: /, '').replaceAll('\n', ' ');
    throw new TandemError('INVALID_OPTION', `${message}; see --help`);
  }
  const { config, ...flags } = command.opts<{ config?: string }>();
  const file = readConfig(config ?? environment.TANDEM_CONFIG);
  return { kind: 'serve', options: parseServerOptions({ ...file, ...collect(flags, environment) }) };
}

function buildCommand(version: string): Command {
  const command = new Command('tandem-cloud')
    .description('Serves the layers of a model behind the cut to Tandem devices.')
    .version(version)
    .allowExcessArguments(false)
    .showSuggestionAfterError(true)
    .option('--config <file>', 'JSON object of options by their names in camelCase (TANDEM_CONFIG)')
    .exitOverride();
  for (const name of OPTION_NAMES) {
    const { kind, value, text } = OPTION_ROWS[name];
    const flags = `${flagOf(name)} ${value}`.trimEnd();
    const words = `${text} (${environmentOf(name)}; ${defaultOf(name)})`;
    if (kind === 'list') command.option(flags, words, (item: string, items: string[] = []) => [...items, item]);
    else command.option(flags, words);
  }
  return command.addHelpText(
    'after',
    '\nLists are separated by commas in the environment. Flags win over it, it wins over the file.',
  );
}

function defaultOf(name: OptionName): string {
  if (name === 'model') return 'required';
  return `default: ${OPTION_ROWS[name].shown ?? String(serverOptionsSchema.shape[name].parse(undefined))}`;
}

/** What it holds is checked with everything else. */
function readConfig(path: string | undefined): Record<string, unknown> {
  if (path === undefined || path === '') return {};
  try {
    const values: unknown = JSON.parse(readFileSync(path, 'utf8'));
    if (typeof values === 'object' && values !== null && !Array.isArray(values)) return { ...values };
  } catch (cause) {
    // Not the cause's own words: JSON.parse quotes what it read, and that may be a credential.
    throw new TandemError('INVALID_OPTION', `--config ${path} cannot be read as JSON`, { cause });
  }
  throw new TandemError('INVALID_OPTION', `--config ${path} holds no JSON object of options`);
}

function collect(
  flags: Record<string, unknown>,
  environment: Readonly<Record<string, string | undefined>>,
): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const name of OPTION_NAMES) {
    const given = flags[name] ?? environment[environmentOf(name)];
    // An empty variable is how many shells and compose files say "not set".
    if (given !== undefined && given !== '') values[name] = typed(name, given);
  }
  return values;
}

/** Texts as values; one that cannot be read stays a text, for the schema to refuse by name. */
function typed(name: OptionName, given: unknown): unknown {
  if (typeof given !== 'string') return given;
  switch (OPTION_ROWS[name].kind) {
    case 'text':
      return given;
    case 'integer':
      return /^\d+$/.test(given) ? Number(given) : given;
    case 'number':
      return /^\d+(\.\d+)?$/.test(given) ? Number(given) : given;
    case 'list':
      return given.split(',').filter((item) => item !== '');
    case 'switch':
      return given === 'true' || given === '1' ? true : given === 'false' || given === '0' ? false : given;
  }
}
