import { FORMATS, type Format, systemClock, TandemError } from '@tandem/shared';
import { Command } from 'commander';
import { type PrepareProgress, prepareBundle } from '../bundle-writer.js';
import { ProgressLine } from './progress-line.js';

interface PrepareFlags {
  exits?: number[];
  cut?: number;
  format: Format[];
  out?: string;
  name?: string;
  context?: number;
  threads?: number;
  resume: boolean;
  json?: boolean;
}

/** `tandem prepare <checkpoint> --exits 2,4 --cut 4 --format q8 --out <bundle>` */
export function prepareCommand(): Command {
  return new Command('prepare')
    .description('Make a bundle from a checkpoint folder (config.json, *.safetensors, tokenizer.json).')
    .argument('<checkpoint>', 'checkpoint folder in the Hugging Face layout')
    .option('--cut <layer>', 'layer at which the cloud takes over (default: the last exit)', parseLayer)
    .option('--out <folder>', 'folder of the bundle (required); an older bundle there is replaced')
    .option(
      '--exits <layers>',
      'layers after which the device can stop, as in 2,4 (default: those with fitted exits)',
      parseLayers,
    )
    .option('--format <formats>', `weight formats, comma separated: ${FORMATS.join(', ')}`, parseFormats, ['q8'])
    .option('--name <name>', 'name of the model (default: name of the checkpoint folder)')
    .option('--context <positions>', 'positions that the bundle is made for (default: those of the model)', Number)
    .option('--threads <count>', 'threads that convert weights (default: one per core)', Number)
    .option('--no-resume', 'do not go on with what an interrupted run left, and leave nothing')
    .option('--json', 'print the manifest as JSON and no progress')
    .addHelpText(
      'after',
      '\nExample:\n  $ tandem prepare models/tales --exits 2,4 --cut 4 --format q8,f16 --out tales-bundle',
    )
    .action(runPrepare);
}

async function runPrepare(checkpoint: string, flags: PrepareFlags): Promise<void> {
  // Not commander's requiredOption: that would be reported before a mistyped option.
  if (flags.out === undefined) throw new TandemError('INVALID_OPTION', 'no --out; name the folder of the bundle');
  const abort = new AbortController();
  const onInterrupt = () => abort.abort();
  process.once('SIGINT', onInterrupt);
  try {
    const manifest = await prepareBundle({
      checkpoint,
      exits: flags.exits,
      cut: flags.cut,
      formats: flags.format,
      out: flags.out,
      name: flags.name,
      contextLength: flags.context,
      threads: flags.threads,
      resume: flags.resume,
      signal: abort.signal,
      onProgress: flags.json ? undefined : showProgress(),
      onWarning: (message) => console.error(`warning: ${message}`),
    });
    if (flags.json) console.log(JSON.stringify(manifest));
    else
      console.log(
        `${flags.out}: ${manifest.name}, ${manifest.stages.length} stages, cut at layer ${manifest.cut}, ${manifest.formats.join(', ')}`,
      );
  } finally {
    process.off('SIGINT', onInterrupt);
  }
}

function showProgress(): (progress: PrepareProgress) => void {
  const line = new ProgressLine(process.stderr, systemClock);
  return ({ file, writtenBytes, totalBytes, filesDone, filesTotal }) =>
    line.show({ label: `${filesDone}/${filesTotal} files`, doneBytes: writtenBytes, totalBytes, file, filesDone });
}

export function parseLayer(text: string): number {
  const layer = Number(text);
  if (!/^\d{1,4}$/.test(text.trim())) throw new TandemError('INVALID_OPTION', `layer "${text}"; give a whole number`);
  return layer;
}

export function parseLayers(text: string): number[] {
  return text.trim() === '' ? [] : text.split(',').map(parseLayer);
}

export function parseFormats(text: string): Format[] {
  return text.split(',').map((part) => {
    const format = FORMATS.find((known) => known === part.trim());
    if (format === undefined)
      throw new TandemError('INVALID_OPTION', `format "${part}"; choose from ${FORMATS.join(', ')}`);
    return format;
  });
}
