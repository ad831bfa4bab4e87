import { defineConfig } from 'vite';

export default defineConfig({
  // The SDK's worker is an ES module, as its `type: 'module'` says.
  worker: { format: 'es' },
  // Left as they are, so that `new URL(…, import.meta.url)` in them still points to their files.
  optimizeDeps: { exclude: ['@tandem/edge', 'onnxruntime-web'] },
  build: { target: 'es2022', outDir: 'dist/web' },
});
