import { KernelNote, MemoryStore, removeStaleFiles } from '@tandem/edge/testing';
import { beforeEach, describe, expect, it } from 'vitest';

const STAGE = { file: 'stage-0.f16.onnx', bytes: 3, sha256: 'ab'.repeat(32) };

describe('what is known of a stage on these kernels', () => {
  let store: MemoryStore;
  beforeEach(() => {
    store = new MemoryStore();
  });

  it('is kept for these kernels and this file alone', async () => {
    const note = new KernelNote(store, STAGE, 'wasm 1.30.0, 1 threads');
    expect(await note.rowsPerRun()).toBeUndefined();
    await note.keep(64);
    await note.keep(1);
    expect(await note.rowsPerRun()).toBe(1);
    expect(await new KernelNote(store, STAGE, 'wasm 1.31.0, 1 threads').rowsPerRun()).toBeUndefined();
    const other = { ...STAGE, sha256: 'cd'.repeat(32) };
    expect(await new KernelNote(store, other, 'wasm 1.30.0, 1 threads').rowsPerRun()).toBeUndefined();
  });

  it.each(['', 'wasm', 'wasm: ', 'wasm: 0', 'wasm: -1', 'wasm: 1.5', 'wasm: many'])(
    'is nothing where the note reads %j',
    async (text) => {
      await store.append(`kernels-${STAGE.sha256}`, new TextEncoder().encode(text));
      expect(await new KernelNote(store, STAGE, 'wasm').rowsPerRun()).toBeUndefined();
    },
  );

  it('goes with its file, and a storage that is full is no failure', async () => {
    await new KernelNote(store, STAGE, 'wasm').keep(64);
    await removeStaleFiles(store);
    expect(await store.names()).toEqual([]);
    const full = Object.assign(new MemoryStore(), { append: () => Promise.reject(new Error('full')) });
    await new KernelNote(full, STAGE, 'wasm').keep(64);
  });
});
