import { type Calibration, type FileEntry, FORMATS, type Manifest, TandemError } from '@tandem/shared';
import { type Bundle, openBundle } from '@tandem/shared/node';
import { Command } from 'commander';
import { type Estimate, readEstimate } from '../hub/estimate.js';
import { isHubReference } from '../hub/hub-reference.js';
import { pullCheckpoint } from '../hub/pull-checkpoint.js';
import { type HubFlags, hubOptions, withHubOptions } from './pull.js';
import { formatBytes, formatTable } from './text.js';

interface InspectFlags extends HubFlags {
  verify?: boolean;
  context?: number;
  json?: boolean;
}

/** `tandem inspect <bundle>`, or `tandem inspect hf:org/name` before anything large is downloaded. */
export function inspectCommand(): Command {
  const command = new Command('inspect')
    .description('Show the stages, sizes and formats of a bundle, or estimate those of a model on a hub.')
    .argument('<bundle>', 'bundle folder made by "tandem prepare", or hf:organisation/name@revision')
    .option('--verify', 'compare every file with its size and sha256 in the manifest')
    .option('--context <positions>', 'hub: positions to count memory for (default: 4096)', Number)
    .option('--json', 'print the manifest or the estimate as JSON');
  return withHubOptions(command).action(runInspect);
}

async function runInspect(directory: string, flags: InspectFlags): Promise<void> {
  if (isHubReference(directory)) return await inspectHub(directory, flags);
  const bundle = await openBundle(directory);
  const files = bundleFiles(bundle.manifest);
  if (flags.verify) await verifyAll(bundle, files);
  if (flags.json) {
    console.log(JSON.stringify(flags.verify ? { ...bundle.manifest, verified: true } : bundle.manifest));
    return;
  }
  console.log(describeBundle(bundle.manifest));
  if (flags.verify) console.log(`\n${files.length} files match the manifest.`);
}

/** Fetches the config and nothing else. */
async function inspectHub(reference: string, flags: HubFlags & InspectFlags): Promise<void> {
  const folder = await pullCheckpoint(reference, { ...hubOptions(flags), files: ['config.json'] });
  const found = await readEstimate(folder, flags.context);
  console.log(flags.json ? JSON.stringify(found) : describeEstimate(reference, found));
}

function describeEstimate(reference: string, found: Estimate): string {
  const { architecture, layers, width, weights, contextLength, cut, exits, context, formats } = found;
  const rows = FORMATS.map((format) => {
    const { deviceBytes, serverBytes } = formats[format];
    return [format, formatBytes(deviceBytes), formatBytes(serverBytes)];
  });
  return [
    `${reference}: ${architecture}, ${layers} layers, width ${width}, ${(weights / 1e6).toFixed(1)} million weights, context ${contextLength}`,
    `suggested: --cut ${cut} --exits ${exits.join(',')}`,
    `\nweights as stored and a KV cache of ${context} positions (f16 is f32 once loaded):`,
    formatTable([['format', 'device', 'server (layers behind the cut)'], ...rows]),
  ].join('\n');
}

/** Reports all damaged files, not only the first. */
async function verifyAll(bundle: Bundle, files: FileEntry[]): Promise<void> {
  const failures: unknown[] = [];
  for (const file of files) {
    await bundle.verify(file).catch((error: unknown) => failures.push(error));
  }
  if (failures.length > 1)
    for (const failure of failures.slice(1)) console.error(failure instanceof TandemError ? failure.message : failure);
  if (failures.length > 0) throw failures[0];
}

function bundleFiles(manifest: Manifest): FileEntry[] {
  const stageFiles = manifest.stages.flatMap((stage) =>
    FORMATS.flatMap((format) => [stage.files[format], stage.data?.[format]]),
  );
  return [...stageFiles.filter((entry) => entry !== undefined), ...manifest.tokenizer];
}

function describeCalibration({ format, delta, text, policies }: Calibration): string {
  const epsilons = [...new Set(policies.map(({ epsilon }) => epsilon))].join(', ');
  return `${format} calibrated on ${text.texts} texts (${text.name}) for a disagreement of ${epsilons} at confidence ${1 - delta}`;
}

function describeBundle(manifest: Manifest): string {
  const head = [
    `${manifest.name}: ${manifest.architecture}, ${manifest.layers} layers, width ${manifest.width}, ` +
      `${manifest.heads} heads (${manifest.kvHeads} KV), vocabulary ${manifest.vocabularySize}, context ${manifest.contextLength}`,
    `cut at layer ${manifest.cut}, exits after ${manifest.exits.join(', ') || 'none'}, fingerprint ${manifest.fingerprint.slice(0, 16)}`,
    ...(manifest.calibration ?? []).map(describeCalibration),
  ];
  const rows = manifest.stages.map((stage, index) => [
    String(index),
    `${stage.from}–${stage.to}`,
    stage.to <= manifest.cut ? 'device' : 'cloud',
    stage.head,
    ...manifest.formats.map((format) => formatBytes(stage.files[format]!.bytes + (stage.data?.[format]?.bytes ?? 0))),
  ]);
  return `${head.join('\n')}\n\n${formatTable([['stage', 'layers', 'runs on', 'head', ...manifest.formats], ...rows])}`;
}
