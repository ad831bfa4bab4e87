import { defineConfig } from 'vitest/config';

/** The tests of `npm run test:gpu`: they need an NVIDIA GPU and onnxruntime-node with CUDA, and say so where that is not. */
export default defineConfig({
  test: { include: ['tests/gpu/**/*.test.ts'], testTimeout: 120_000, hookTimeout: 120_000, reporters: ['verbose'] },
});
