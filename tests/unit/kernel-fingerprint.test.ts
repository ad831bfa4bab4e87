import { kernelFingerprint } from '@tandem/edge/testing';
import { ChainEngine, prefixBlocks, systemClock } from '@tandem/shared';
import { loadChainEngine, openBundle } from '@tandem/shared/node';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { makeSmallBundle, type SmallBundle } from '../support/small-bundle.js';
import { loadWasmStage } from '../support/wasm-stages.js';

let bundle: SmallBundle;
beforeAll(async () => {
  bundle = await makeSmallBundle(3, { shape: { width: 256, headDim: 32, heads: 8, feedForward: 700 } });
});
afterAll(() => bundle?.remove());

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

it('is the same for the same kernels, and another one for others: native code and WebAssembly', async () => {
  const { directory, engine } = bundle;
  const native = hex(await kernelFingerprint(engine));
  expect(hex(await kernelFingerprint(engine))).toBe(native);
  const second = await loadChainEngine({ directory, format: 'f32', threads: 1, preload: 'device-stages' });
  expect(hex(await kernelFingerprint(second))).toBe(native);
  await second.dispose();
  const opened = await openBundle(directory);
  const wasm = new ChainEngine(engine.info, (index) => loadWasmStage(opened, index, 'f32'), systemClock);
  expect(hex(await kernelFingerprint(wasm))).not.toBe(native);
  await wasm.dispose();
});

it('is part of every block: devices whose rows differ share none', async () => {
  const tokens = Array.from({ length: 200 }, (_, index) => index % 61);
  const [one, other] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)];
  const hashes = await prefixBlocks(tokens, one);
  expect(hashes).toHaveLength(3);
  expect(await prefixBlocks(tokens, one)).toEqual(hashes);
  for (const kernels of [other, undefined]) {
    expect((await prefixBlocks(tokens, kernels)).filter((hash) => hashes.includes(hash))).toEqual([]);
  }
});
