import { assert } from '../errors.js';
import type { Manifest } from '../model/manifest.js';

/** What the graph of a stage has been built for. */
export interface OnnxStageShape {
  layers: number;
  width: number;
  kvHeads: number;
  headDim: number;
  vocabularySize: number;
  contextLength: number;
  input: 'tokens' | 'rows';
  hasHead: boolean;
}

/** What a bundle's manifest says of stage `index`. */
export function onnxStageShape(manifest: Manifest, index: number): OnnxStageShape {
  const stage = manifest.stages[index];
  assert(stage !== undefined, `stage ${index} of ${manifest.stages.length}`);
  const { width, kvHeads, headDim, vocabularySize, contextLength } = manifest;
  const { from, to, input, head } = stage;
  return { layers: to - from, width, kvHeads, headDim, vocabularySize, contextLength, input, hasHead: head !== 'none' };
}
