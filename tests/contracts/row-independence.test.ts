import { prepareBundle } from '@tandem/model-kit';
import {
  createOnnxStageModel,
  FORMATS,
  type OnnxRuntime,
  type OnnxStageModel,
  type OnnxStageParts,
  onnxStageShape,
  WINDOW_POSITIONS,
} from '@tandem/shared';
import { type Bundle, loadOnnxRuntime, loadStage, openBundle } from '@tandem/shared/node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { removeFolder, SMALL_SHAPE, temporaryFolder, writeRandomCheckpoint } from '../support/random-checkpoint.js';
import { describeStageContract } from './stage-contract.js';

type Session = OnnxStageParts['session'];
type Results = Awaited<ReturnType<Session['run']>>;

const folders: string[] = [];
let bundle: Bundle;
let runtime: OnnxRuntime;

beforeAll(async () => {
  const checkpoint = await writeRandomCheckpoint();
  const out = await temporaryFolder('bundle');
  folders.push(checkpoint, out);
  await prepareBundle({ checkpoint, cut: 3, formats: FORMATS, out });
  bundle = await openBundle(out);
  runtime = await loadOnnxRuntime();
});
afterAll(async () => {
  for (const folder of folders) await removeFolder(folder);
});

async function createSession(): Promise<Session> {
  return await runtime.InferenceSession.create(await bundle.readVerified(bundle.manifest.stages[1]!.files.f32!));
}

/** A processor whose kernels add up in another order for two and more rows: the last bit of every number differs then. */
function coupleRows(session: Session, output: 'output_rows' | 'logits' | 'new_keys.0'): Session {
  const run = async (feeds: Parameters<Session['run']>[0]): Promise<Results> => {
    const results = await session.run(feeds);
    const { rows } = feeds as unknown as { rows: { dims: readonly number[] } };
    if (rows.dims[0]! > 1) {
      const { data } = results[output] as unknown as { data: Float32Array };
      const bits = new Uint32Array(data.buffer, data.byteOffset, data.length);
      for (let i = 0; i < bits.length; i++) bits[i]! ^= 1;
    }
    return results;
  };
  return { run, release: () => session.release() } as unknown as Session;
}

describe('the check of independent rows', () => {
  // Elsewhere one row at a time may be right. Here it would hide that rows have come to depend on each other.
  it.runIf(process.arch === 'x64').each(FORMATS)('lets x64 run whole windows in %s', async (format) => {
    for (const index of bundle.manifest.stages.keys()) {
      const model = (await loadStage(bundle, index, format, { threads: 2 })) as OnnxStageModel;
      expect(model.rowsPerRun, `stage ${index}`).toBe(WINDOW_POSITIONS);
      await model.dispose();
    }
  });

  it.each(['output_rows', 'logits', 'new_keys.0'] as const)('notices the last bit of %s', async (output) => {
    const session = coupleRows(await createSession(), output);
    const model = await createOnnxStageModel(runtime, session, onnxStageShape(bundle.manifest, 1));
    expect(model.rowsPerRun).toBe(1);
    await model.dispose();
  });
});

describeStageContract('ONNX f32 where rows are not independent', async () => ({
  model: await createOnnxStageModel(
    runtime,
    coupleRows(await createSession(), 'output_rows'),
    onnxStageShape(bundle.manifest, 1),
  ),
  input: 'rows',
  contextLength: SMALL_SHAPE.contextLength,
}));
