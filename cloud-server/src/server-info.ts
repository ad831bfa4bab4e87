import { type Format, type Manifest, ROW_CODEC_NAMES, SUBPROTOCOL } from '@tandem/shared';
import type { EngineFigures } from './engine/engine-figures.js';
import type { ParsedServerOptions } from './options.js';

export interface ServerFacts {
  version: string;
  manifest: Manifest;
  format: Format;
  options: ParsedServerOptions;
  /** Known once an engine has started. */
  engine: Partial<EngineFigures>;
  /** What the contexts of all sessions may take. */
  contextBytesMax: number;
}

/** What everyone may know: the answer of `/v1/info`. */
export function describeServer({
  version,
  manifest,
  format,
  options,
  engine: { batch, backend, deviceMemory },
  contextBytesMax,
}: ServerFacts): Record<string, unknown> {
  const { name, fingerprint, cut, layers, contextLength } = manifest;
  return {
    version,
    subprotocol: SUBPROTOCOL,
    name,
    model: fingerprint,
    format,
    cut,
    layers,
    codecs: ROW_CODEC_NAMES,
    contextLength,
    contextBytesMax,
    engine: {
      backend: backend ?? 'starting',
      threads: options.threads ?? 'one per core',
      processes: options.engines,
      batch,
      deviceMemory,
    },
  };
}
