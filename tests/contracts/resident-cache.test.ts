import type { OnnxStageModel, StageOutput } from '@tandem/shared';
import { residentGraph } from '@tandem/shared';
import { type Bundle, chooseDevice, loadStage } from '@tandem/shared/node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { difference, expectSameBits } from '../support/compare.js';
import { makeStageBundle } from '../support/stage-bundle.js';
import { HAS_VULKAN, onVulkan } from '../support/vulkan.js';

const NONE = new Int32Array(0);

let bundle: Bundle;
let remove: () => Promise<void>;

beforeAll(async () => {
  ({ bundle, remove } = await makeStageBundle(['f16', 'q4']));
});
afterAll(() => remove());

describe('a stage graph that keeps its cache', () => {
  it('is refused where it is no stage of ours', async () => {
    const graph = await bundle.readVerified(bundle.manifest.stages[0]!.files.f16!);
    const shape = { layers: 1, kvHeads: 2, headDim: 12 };
    expect(residentGraph(graph, shape).resident).toEqual(['past_keys.0', 'past_values.0']);
    expect(() => residentGraph(graph, { ...shape, layers: 2 })).toThrow(/2 cache inputs .*, 4 expected/);
  });
});

/** In Node, on a driver in software. tests/long has the whole stage contract. */
describe.skipIf(!HAS_VULKAN)(onVulkan('keys and values on a GPU'), () => {
  const tokens = (from: number, count: number, step = 7) => ({
    kind: 'tokens' as const,
    tokens: Int32Array.from({ length: count }, (_, i) => ((from + i) * step) % 61),
  });

  it('is what the device is, by name', async () => {
    expect(await chooseDevice('webgpu')).toEqual({ device: 'webgpu', backend: 'onnxruntime-node webgpu' });
  });

  it.each([
    // The processor multiplies 4-bit weights with 8-bit rows, this driver with rows as they are.
    ['f16', 16, 1e-4],
    ['q4', 1, 1],
  ] as const)(
    '%s: the same bits in any grouping and after roll-backs; near those of the processor',
    async (format, rowsPerRun, tolerance) => {
      const [gpu, cpu] = await Promise.all([
        loadStage(bundle, 0, format, { device: 'webgpu' }),
        loadStage(bundle, 0, format, { threads: 1 }),
      ]);
      expect((gpu as OnnxStageModel).rowsPerRun).toBe(rowsPerRun);
      const expected = await cpu.open(80).forward(tokens(0, 20), Int32Array.of(19));
      const [one, other] = [gpu.open(80), gpu.open(80)];
      const together = await one.forward(tokens(0, 20), Int32Array.of(19));
      expect(difference(together.rows, expected.rows).max).toBeLessThan(tolerance);
      expect(difference(together.logits, expected.logits).max).toBeLessThan(tolerance);

      await other.forward(tokens(0, 4), NONE);
      await other.forward(tokens(4, 3, 11), NONE);
      other.truncate(4);
      const parts: StageOutput[] = [await other.forward(tokens(4, 1), NONE)];
      // Another continuation, put aside and back.
      const tail = other.copyTail(2);
      other.truncate(2);
      await other.forward(tokens(2, 5, 13), NONE);
      other.truncate(2);
      other.appendTail(tail);
      tail.release?.();
      parts.push(await other.forward(tokens(5, 14), NONE), await other.forward(tokens(19, 1), Int32Array.of(0)));
      const rows = Float32Array.from(parts.flatMap((part) => [...part.rows]));
      expectSameBits(rows, together.rows.subarray(4 * gpu.width), 'rows');
      expectSameBits(parts.at(-1)!.logits, together.logits, 'logits');
      for (const stage of [one, other]) stage.dispose();
      await gpu.dispose();
      await cpu.dispose();
    },
  );

  it('a row that is not finite leaves no trace', async () => {
    const model = await loadStage(bundle, 1, 'f16', { device: 'webgpu' });
    const rows = (seed: number, count: number) => ({
      kind: 'rows' as const,
      rows: Float32Array.from({ length: count * model.width }, (_, i) => Math.sin(seed + i)),
    });
    const [clean, poisoned] = [model.open(70), model.open(70)];
    const expected = await clean.forward(rows(1, 6), NONE);
    const bad = rows(1, 6);
    bad.rows.fill(NaN, 4 * model.width, 5 * model.width);
    const output = await poisoned.forward(bad, NONE);
    expectSameBits(output.rows.subarray(0, 4 * model.width), expected.rows.subarray(0, 4 * model.width), 'before it');
    poisoned.truncate(4);
    await poisoned.forward({ kind: 'rows', rows: rows(1, 6).rows.subarray(4 * model.width) }, NONE);
    const [after, afterPoison] = [await clean.forward(rows(2, 1), NONE), await poisoned.forward(rows(2, 1), NONE)];
    expectSameBits(afterPoison.rows, after.rows, 'after it');
    await model.dispose();
  });
});
