import { createHash } from 'node:crypto';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startServer } from '@tandem/cloud';
import { EdgeModel } from '@tandem/edge';
import { DataType, encodeModel, GraphBuilder } from '@tandem/model-kit';
import type { Manifest } from '@tandem/shared';
import { CouplingOperators } from '@tandem/shared/node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { removeFolder, temporaryFolder } from '../support/random-checkpoint.js';
import { makeSmallBundle, type SmallBundle } from '../support/small-bundle.js';

/** A graph that some other tool quantised: one scale for all rows of a run. */
describe('an operator that couples rows', () => {
  let bundle: SmallBundle;
  const folders: string[] = [];
  beforeAll(async () => {
    bundle = await makeSmallBundle();
  });
  afterAll(async () => {
    for (const folder of folders) await removeFolder(folder);
    await bundle?.remove();
  });

  /** The bundle with another graph in stage `index`, its sums right. */
  async function withGraph(index: number, operator: string): Promise<string> {
    const folder = await temporaryFolder('coupled');
    folders.push(folder);
    await cp(bundle.directory, folder, { recursive: true });
    const graph = new GraphBuilder();
    graph.input('rows', DataType.FLOAT, ['rows', 72]);
    graph.split(operator, ['rows'], { name: 'output_rows', outputs: operator === 'Identity' ? 1 : 3 });
    graph.output('output_rows', operator === 'Identity' ? DataType.FLOAT : DataType.UINT8, ['rows', 72]);
    const pieces: Uint8Array[] = [];
    for await (const piece of encodeModel(graph, 'stage')) pieces.push(piece);
    const bytes = Buffer.concat(pieces);
    const path = join(folder, 'manifest.json');
    const manifest = JSON.parse(await readFile(path, 'utf8')) as Manifest;
    const entry = manifest.stages[index]!.files.f32!;
    await writeFile(join(folder, entry.file), bytes);
    Object.assign(entry, { bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') });
    await writeFile(path, JSON.stringify(manifest));
    return folder;
  }

  it('is refused by a server when it loads, and by a device', async () => {
    const options = { port: 0, threads: 1, logLevel: 'silent', format: 'f32' } as const;
    const last = bundle.engine.info.stages - 1;
    const message = /DynamicQuantizeLinear.*depends on the rows beside it.*tandem prepare/;
    const model = await withGraph(last, 'DynamicQuantizeLinear');
    await expect(startServer({ ...options, model })).rejects.toMatchObject({ code: 'ROWS_COUPLED', message });
    const device = await withGraph(0, 'DynamicQuantizeLinear');
    await expect(EdgeModel.load(device, { format: 'f32' })).rejects.toMatchObject({ code: 'ROWS_COUPLED' });
    // Another graph that does not belong there is refused for another reason.
    const other = startServer({ ...options, model: await withGraph(last, 'Identity') });
    await expect(other).rejects.not.toMatchObject({ code: 'ROWS_COUPLED' });
  });

  it('is found wherever the file is cut into pieces, and only where it is', () => {
    const file = Buffer.from(`weights${'x'.repeat(50)}DynamicQuantizeMatMul and more ${'y'.repeat(30)}`);
    for (let size = 1; size <= file.length; size++) {
      const operators = new CouplingOperators();
      for (let from = 0; from < file.length; from += size) operators.update(file.subarray(from, from + size));
      expect([size, operators.found]).toEqual([size, 'DynamicQuantizeMatMul']);
    }
    const harmless = new CouplingOperators();
    harmless.update(Buffer.from('QuantizeLinear DequantizeLinear MatMulNBits DynamicQuantizeLin'));
    harmless.update(Buffer.from('earth'.slice(1)));
    expect(harmless.found).toBeUndefined();
  });
});
