import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { TandemError } from '@tandem/shared';
import { Command } from 'commander';

export interface OtherPackage {
  /** Of the command, here and there. */
  name: string;
  description: string;
  /** What the package exports for this; it is no dependency of this one. */
  entry: string;
  /** How to get it. */
  install: string;
}

/** `tandem <name> …`: hands everything, the question for help too, to another package, where it is installed. */
export function commandOf({ name, description, entry, install }: OtherPackage): Command {
  return new Command(name)
    .description(description)
    .helpOption(false)
    .allowUnknownOption()
    .argument('[options...]')
    .action(async (_options, _flags, command: Command) => {
      await run(find(entry, `${name} is a part of another package: ${install}`), command.args);
    });
}

async function run(program: string, args: readonly string[]): Promise<void> {
  const child = spawn(process.execPath, [program, ...args], { stdio: 'inherit' });
  // The child hears Ctrl-C itself, and ends in its own way; this process waits for it.
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  const [code] = (await once(child, 'exit')) as [number | null];
  process.exitCode = code ?? 1;
}

function find(entry: string, what: string): string {
  try {
    return createRequire(import.meta.url).resolve(entry);
  } catch (cause) {
    throw new TandemError('INVALID_OPTION', what, { cause });
  }
}
