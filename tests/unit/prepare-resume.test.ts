import { readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { checkpointFromWeights, loadWeights, prepareBundle, readCheckpoint } from '@tandem/model-kit';
import { FORMATS, type Manifest } from '@tandem/shared';
import { loadStage, openBundle } from '@tandem/shared/node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectSameBits } from '../support/compare.js';
import { removeFolder, temporaryFolder, writeRandomCheckpoint } from '../support/random-checkpoint.js';

let checkpoint: string;
let folder: string;
let whole: Manifest;

beforeAll(async () => {
  checkpoint = await writeRandomCheckpoint({ dtype: 'BF16', tiedHead: false });
  folder = await temporaryFolder('resume');
  whole = await prepareBundle({ checkpoint, cut: 2, formats: FORMATS, out: join(folder, 'whole') });
});
afterAll(async () => {
  await removeFolder(checkpoint);
  await removeFolder(folder);
});

/** Aborts when so many bytes are written; returns how many were there at the start. */
async function prepareUntil(out: string, bytes: number, resume = true): Promise<number> {
  const abort = new AbortController();
  let first: number | undefined;
  const prepared = prepareBundle({
    checkpoint,
    cut: 2,
    formats: FORMATS,
    out,
    resume,
    signal: abort.signal,
    onProgress({ writtenBytes }) {
      first ??= writtenBytes;
      if (writtenBytes >= bytes) abort.abort();
    },
  });
  await expect(prepared).rejects.toMatchObject({ code: 'ABORTED' });
  return first!;
}

describe('an interrupted preparation', () => {
  it('goes on where it was, and gives the same bundle', async () => {
    const out = join(folder, 'resumed');
    await prepareUntil(out, 400_000);
    const left = await readdir(join(folder, '.resumed.partial'));
    expect(left).toContain('stage-0.f32.onnx');
    let first: number | undefined;
    const onProgress = ({ writtenBytes }: { writtenBytes: number }) => {
      first ??= writtenBytes;
    };
    const manifest = await prepareBundle({ checkpoint, cut: 2, formats: FORMATS, out, resume: true, onProgress });
    expect(first).toBe(whole.stages[0]!.files.f32!.bytes);
    expect(manifest).toEqual({ ...whole, name: manifest.name });
    expect((await readdir(folder)).filter((name) => name.startsWith('.'))).toEqual([]);
    const bundle = await openBundle(out);
    for (const stage of manifest.stages) for (const format of FORMATS) await bundle.verify(stage.files[format]!);
    expect(await readdir(out)).not.toContain('progress.json');
  });

  it('starts anew when the checkpoint has changed, or the options', async () => {
    const out = join(folder, 'changed');
    await prepareUntil(out, 400_000);
    await utimes(join(checkpoint, 'model.safetensors'), 1, 1);
    expect(await prepareUntil(out, 400_000)).toBeLessThan(100_000);
    await prepareBundle({ checkpoint, cut: 3, formats: ['q4'], out, resume: true });
    expect((await openBundle(out)).manifest.cut).toBe(3);
  });

  it('goes on behind the last whole piece of a file', async () => {
    const out = join(folder, 'pieces');
    const { bytes, sha256 } = whole.stages[0]!.files.f32!;
    await prepareUntil(out, bytes + 1);
    const partial = join(folder, '.pieces.partial');
    const journal = JSON.parse(await readFile(join(partial, 'progress.json'), 'utf8'));
    // As if the power had failed in the first file: 100,000 bytes are sure, behind them is rubbish.
    const content = await readFile(join(partial, 'stage-0.f32.onnx'));
    await writeFile(
      join(partial, 'stage-0.f32.onnx'),
      Buffer.concat([content.subarray(0, 100_000), Buffer.alloc(50_000)]),
    );
    const current = { file: 'stage-0.f32.onnx', bytes: 100_000 };
    await writeFile(join(partial, 'progress.json'), JSON.stringify({ ...journal, done: {}, current }));
    const started: number[] = [];
    const manifest = await prepareBundle({
      checkpoint,
      cut: 2,
      formats: FORMATS,
      out,
      resume: true,
      onProgress: ({ writtenBytes }) => started.push(writtenBytes),
    });
    expect(started[0]).toBeGreaterThan(50_000);
    expect(started[0]).toBeLessThanOrEqual(100_000);
    expect(manifest.stages[0]!.files.f32).toMatchObject({ bytes, sha256 });
  });

  it('leaves nothing without resume', async () => {
    await prepareUntil(join(folder, 'plain'), 400_000, false);
    expect((await readdir(folder)).filter((name) => name.includes('plain'))).toEqual([]);
  });
});

describe('weights beside the ONNX file', () => {
  it('give the same rows and logits, and are verified', async () => {
    const out = join(folder, 'external');
    await prepareBundle({ checkpoint, cut: 2, formats: ['f32', 'q8'], out, inlineWeightBytesMax: 10_000 });
    const bundle = await openBundle(out);
    const { data } = bundle.manifest.stages[0]!;
    expect([data!.f32!.file, data!.q8!.file]).toEqual(['stage-0.f32.onnx.data', 'stage-0.q8.onnx.data']);
    expect(bundle.manifest.stages[0]!.files.f32!.bytes).toBeLessThan(60_000);
    const inline = await openBundle(join(folder, 'whole'));
    const tokens = Int32Array.from({ length: 30 }, (_, i) => (i * 7) % 61);
    for (const format of ['f32', 'q8'] as const) {
      const rows: Float32Array[] = [];
      for (const source of [bundle, inline]) {
        const model = await loadStage(source, 0, format, { threads: 1 });
        rows.push((await model.open(40).forward({ kind: 'tokens', tokens }, new Int32Array(0))).rows);
        await model.dispose();
      }
      expectSameBits(rows[0]!, rows[1]!, format);
    }
    const path = join(out, 'stage-0.f32.onnx.data');
    const bytes = await readFile(path);
    bytes[bytes.length >> 1]! ^= 1;
    await writeFile(path, bytes);
    await expect(loadStage(bundle, 0, 'f32')).rejects.toMatchObject({ code: 'BUNDLE_CORRUPT' });
    await rm(path);
    await expect(loadStage(bundle, 0, 'f32')).rejects.toMatchObject({ code: 'BUNDLE_NOT_FOUND' });
  });
});

describe('the conversion', () => {
  it('gives the same bytes from lines of a file and from whole tensors in memory', async () => {
    const source = await readCheckpoint(checkpoint);
    const { tokenizer, name, bosTokenId, eosTokenIds } = source;
    const inMemory = checkpointFromWeights(await loadWeights(source), { name, bosTokenId, eosTokenIds, tokenizer });
    await source.close();
    const manifest = await prepareBundle({
      checkpoint: inMemory,
      cut: 2,
      formats: FORMATS,
      out: join(folder, 'memory'),
    });
    expect(manifest.stages).toEqual(whole.stages);
  });

  it('gives the same bytes on threads', async () => {
    const { stages } = await prepareBundle({
      checkpoint,
      cut: 2,
      formats: FORMATS,
      out: join(folder, 'threads'),
      threads: 3,
    });
    expect(stages).toEqual(whole.stages);
  });

  it('refuses weights that are not finite, whatever thread finds them', async () => {
    for (const threads of [undefined, 2]) {
      const damaged = await writeRandomCheckpoint({ dtype: 'BF16' });
      const path = join(damaged, 'model.safetensors');
      const bytes = await readFile(path);
      bytes.writeUInt16LE(0x7fc0, bytes.length - 2);
      await writeFile(path, bytes);
      const out = join(folder, 'not-finite');
      const prepared = prepareBundle({ checkpoint: damaged, cut: 2, formats: ['q8'], out, threads });
      await expect(prepared).rejects.toThrow('CHECKPOINT_INVALID: finalNorm holds a number that is not finite');
      await removeFolder(damaged);
    }
  });

  it.each(['q8', 'q4', 'f16'] as const)('refuses a matrix that is not finite: %s', async (format) => {
    for (const bits of [0x7fc0, 0x7f80, 0xff80]) {
      const damaged = await writeRandomCheckpoint({ dtype: 'BF16' });
      const path = join(damaged, 'model.safetensors');
      const bytes = await readFile(path);
      const headerEnd = 8 + Number(bytes.readBigUInt64LE(0));
      const header = JSON.parse(bytes.subarray(8, headerEnd).toString());
      const [begin] = header['model.layers.1.mlp.up_proj.weight'].data_offsets;
      bytes.writeUInt16LE(bits, headerEnd + begin + 10);
      await writeFile(path, bytes);
      const prepared = prepareBundle({
        checkpoint: damaged,
        cut: 2,
        formats: [format],
        out: join(folder, 'not-finite'),
      });
      await expect(prepared).rejects.toThrow('CHECKPOINT_INVALID: layers.1.up holds a number that is not finite');
      await removeFolder(damaged);
    }
  });
});
