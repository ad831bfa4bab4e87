import type { Format, ManifestStage } from '@tandem/shared';
import type { Checkpoint } from './checkpoint.js';
import type { Converter } from './conversion/converter.js';
import { type FilePiece, layoutModel } from './onnx/model-file.js';
import { buildStage, type StagePlan } from './onnx/stage-graph.js';

/** Consecutive stages that end at every exit, at the cut and at the last layer. */
export function planStages(layers: number, exits: readonly number[], cut: number): StagePlan[] {
  const ends = [...new Set([...exits, cut, layers])].sort((a, b) => a - b);
  return ends.map((to, i) => ({
    from: i === 0 ? 0 : ends[i - 1]!,
    to,
    input: i === 0 ? 'tokens' : 'rows',
    head: to === layers ? 'model' : exits.includes(to) ? 'exit' : 'none',
  }));
}

/** A file and where the manifest names it. */
export interface PlannedFile {
  file: string;
  pieces: FilePiece[];
  stage: ManifestStage | undefined;
  kind: 'files' | 'data' | 'tokenizer';
  format?: Format;
}

/** Every file of the bundle but the manifest; nothing has been read yet. */
export function planFiles(
  checkpoint: Checkpoint,
  plans: StagePlan[],
  { formats, inlineWeightBytesMax }: { formats: readonly Format[]; inlineWeightBytesMax?: number },
  converter: Converter,
): PlannedFile[] {
  const files: PlannedFile[] = [];
  for (const [index, stagePlan] of plans.entries()) {
    const stage: ManifestStage = { ...stagePlan, files: {} };
    for (const format of formats) {
      const file = `stage-${index}.${format}.onnx`;
      const graph = buildStage(checkpoint, stagePlan, format, converter);
      const { model, data } = layoutModel(graph, file, `${file}.data`, inlineWeightBytesMax);
      files.push({ file, pieces: model, stage, kind: 'files', format });
      if (data.length > 0) files.push({ file: `${file}.data`, pieces: data, stage, kind: 'data', format });
    }
  }
  for (const { file, content } of checkpoint.tokenizer) {
    const pieces = [{ name: file, bytes: content.length, load: () => content }];
    files.push({ file, pieces, stage: undefined, kind: 'tokenizer' });
  }
  return files;
}
