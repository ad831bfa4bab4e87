import { homedir } from 'node:os';
import { join } from 'node:path';
import { systemClock, TandemError } from '@tandem/shared';
import { Command } from 'commander';
import { type PullOptions, pullCheckpoint } from '../hub/pull-checkpoint.js';
import { ProgressLine } from './progress-line.js';

export interface HubFlags {
  cache?: string;
  endpoint?: string;
  offline?: boolean;
}

/** `tandem pull hf:org/name@revision` */
export function pullCommand(): Command {
  const command = new Command('pull')
    .description('Fetch a checkpoint from a hub into the cache, and print its folder.')
    .argument('<model>', 'hf:organisation/name or hf:organisation/name@revision');
  return withHubOptions(command).action(runPull);
}

/** The options of every command that asks a hub. */
export function withHubOptions(command: Command): Command {
  return command
    .option('--cache <folder>', 'folder of pulled models (default: TANDEM_CACHE, else ~/.cache/tandem)')
    .option('--endpoint <url>', 'hub or a mirror of it (default: HF_ENDPOINT, else https://huggingface.co)')
    .option('--offline', 'use what is in the cache only (also: HF_HUB_OFFLINE=1)')
    .addHelpText('after', '\nHF_TOKEN is sent to the hub where it is set.');
}

/** Flags first, then the environment; HF_… as Hugging Face's own tools read them. */
export function hubOptions(flags: HubFlags, environment: NodeJS.ProcessEnv = process.env): PullOptions {
  const endpoint = flags.endpoint ?? environment.HF_ENDPOINT ?? 'https://huggingface.co';
  if (!/^https?:\/\//.test(endpoint))
    throw new TandemError('INVALID_OPTION', `endpoint "${endpoint}"; give an http or https URL`);
  return {
    cache: flags.cache ?? environment.TANDEM_CACHE ?? join(homedir(), '.cache', 'tandem'),
    endpoint: endpoint.replace(/\/+$/, ''),
    token: environment.HF_TOKEN || undefined,
    offline: flags.offline ?? /^(1|true|yes|on)$/i.test(environment.HF_HUB_OFFLINE ?? ''),
  };
}

async function runPull(model: string, flags: HubFlags): Promise<void> {
  const abort = new AbortController();
  const onInterrupt = () => abort.abort();
  process.once('SIGINT', onInterrupt);
  const line = new ProgressLine(process.stderr, systemClock);
  try {
    const folder = await pullCheckpoint(model, {
      ...hubOptions(flags),
      signal: abort.signal,
      onProgress: ({ filesTotal, ...progress }) =>
        line.show({ ...progress, label: `${progress.filesDone}/${filesTotal} files` }),
    });
    console.log(folder);
  } finally {
    process.off('SIGINT', onInterrupt);
  }
}
