/** The part of WebGPU that is asked; TypeScript's DOM does not have it. */
interface Gpu {
  requestAdapter(): Promise<GpuAdapter | null>;
}

interface GpuAdapter {
  info?: { vendor?: string; architecture?: string; isFallbackAdapter?: boolean };
}

/** Drivers in software: a hundred times slower than WebAssembly. */
const SOFTWARE = /swiftshader|llvmpipe|lavapipe|warp/i;

/**
 * Below this a step in WebAssembly takes less than the way to a GPU and back: its weights, as f32, are read in some ten
 * milliseconds.
 */
const WORTH_A_GPU_BYTES = 32 * 1024 * 1024;

/**
 * Why the stages had better not, or cannot, run on a GPU here, in words; `undefined` where they can. Whoever asks for one by
 * name gets a slow one, too. Asked in a worker.
 */
export async function gpuObstacle(asked: 'auto' | 'webgpu', deviceBytes: number): Promise<string | undefined> {
  if (asked === 'auto' && deviceBytes < WORTH_A_GPU_BYTES) return 'a model this small is quicker without';
  const { gpu } = navigator as { gpu?: Gpu };
  if (!gpu) return 'this browser has none, or none on pages that are not https';
  const adapter = await gpu.requestAdapter().catch(() => null);
  if (!adapter) return 'no adapter';
  const { vendor = '', architecture = '', isFallbackAdapter = false } = adapter.info ?? {};
  if (asked === 'auto' && (isFallbackAdapter || SOFTWARE.test(architecture))) {
    return `the adapter ${vendor} ${architecture} is a driver in software`;
  }
  return undefined;
}
