import { ChainEngine } from '../engine/chain-engine.js';
import { engineInfo } from '../engine/engine-info.js';
import { TandemError } from '../errors.js';
import type { Format } from '../model/format.js';
import { systemClock } from '../platform/clock.js';
import { onFirstUse } from '../platform/on-first-use.js';
import { loadStage, openBundle } from './bundle.js';
import { openBatches } from './engine-batches.js';
import { chooseDevice, type DeviceChoice, firstLine, onProcessor } from './node-device.js';
import type { NodeDevice } from './onnxruntime.js';

export interface ChainEngineOptions {
  /** Folder of the bundle. */
  directory: string;
  /** Default: the bundle's first. */
  format: string | undefined;
  /** Threads of one step; default: the runtime's choice. */
  threads: number | undefined;
  /** Default `cpu`. What cannot run its stages is replaced by `cpu`, and `info.backend` says why. */
  device?: NodeDevice | undefined;
  /** Which stages to load before the engine counts as ready; the others are loaded by the first session that needs them. */
  preload: 'device-stages' | 'cloud-stages' | 'all';
  /** Sessions whose steps `stepTogether` takes at once: `info.batch` says whether it can. Default 1. */
  batchSlots?: number | undefined;
}

/**
 * A bundle as an engine in this thread.
 * @throws TandemError BUNDLE_NOT_FOUND, BUNDLE_CORRUPT, INVALID_OPTION, ENGINE_UNAVAILABLE
 */
export async function loadChainEngine(options: ChainEngineOptions): Promise<ChainEngine> {
  const bundle = await openBundle(options.directory);
  const { manifest } = bundle;
  const format = (options.format ?? manifest.formats[0]) as Format;
  if (!manifest.formats.includes(format)) {
    throw new TandemError(
      'INVALID_OPTION',
      `format ${format} is not in the bundle; it has ${manifest.formats.join(', ')}`,
    );
  }
  const load = async (choice: DeviceChoice) => {
    const session = { threads: options.threads, device: choice.device };
    const stageModel = onFirstUse((index) => loadStage(bundle, index, format, session));
    const known = { ...engineInfo(manifest, format), backend: choice.backend, device: choice.device };
    const first = options.preload === 'cloud-stages' ? known.deviceStages : 0;
    const end = options.preload === 'device-stages' ? known.deviceStages : manifest.stages.length;
    for (let index = first; index < end; index++) await stageModel(index);
    const { batch, batches } = await openBatches({
      bundle,
      format,
      session,
      slots: options.batchSlots ?? 1,
      stageModel,
    });
    return new ChainEngine({ ...known, ...(batch ? { batch } : {}) }, stageModel, systemClock, batches);
  };
  const choice = await chooseDevice(options.device);
  if (choice.device === 'cpu') return await load(choice);
  return await load(choice).catch((cause) => load(onProcessor(`${choice.device}: ${firstLine(cause.cause ?? cause)}`)));
}
