import type { Format } from '../model/format.js';
import type { Manifest } from '../model/manifest.js';
import type { EngineInfo } from './engine.js';

/** What an engine says about the model that it has loaded. */
export function engineInfo(manifest: Manifest, format: Format): EngineInfo {
  return {
    model: manifest.fingerprint,
    format,
    width: manifest.width,
    vocabularySize: manifest.vocabularySize,
    contextLength: manifest.contextLength,
    stages: manifest.stages.length,
    deviceStages: manifest.stages.filter((stage) => stage.to <= manifest.cut).length,
  };
}
