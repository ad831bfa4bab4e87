import { Worker } from 'node:worker_threads';
import { connectEngine, type Engine, type EnginePort, TandemError } from '@tandem/shared';
import type { NodeDevice } from '@tandem/shared/node';

/** What the worker is to load. */
export interface DeviceEngineOptions {
  directory: string;
  format: string | undefined;
  device: NodeDevice;
  threads: number | undefined;
}

/**
 * The device's engine in a worker thread: onnxruntime-node blocks the event loop for as long as a step takes, and
 * the caller's loop draws a user interface or serves requests.
 */
export async function startWorkerEngine(options: DeviceEngineOptions, signal?: AbortSignal): Promise<Engine> {
  if (signal?.aborted) throw new TandemError('ABORTED', 'loading was aborted', { cause: signal.reason });
  const worker = new Worker(new URL('./worker-main.js', import.meta.url), { workerData: options, stdout: false });
  const { engine, lost } = connectEngine(keepingAlive(worker));
  const stop = (reason: TandemError) => {
    lost(reason);
    void worker.terminate();
  };
  worker.on('error', (cause) => stop(new TandemError('ENGINE_FAILED', `the device engine threw: ${cause}`, { cause })));
  worker.on('exit', (code) => lost(new TandemError('ENGINE_FAILED', `the device engine stopped with code ${code}`)));
  const onAbort = () => stop(new TandemError('ABORTED', 'loading was aborted', { cause: signal?.reason }));
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    const ready = await engine;
    return {
      ...ready,
      dispose: async () => {
        await ready.dispose();
        await worker.terminate();
      },
    };
  } catch (error) {
    await worker.terminate();
    throw error;
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
}

/** A loaded model that nobody uses must not keep the process alive, but a request under way must. */
function keepingAlive(worker: Worker): EnginePort {
  // The worker announces itself unasked: that first message is under way from the start.
  let pending = 1;
  return {
    post(message) {
      if (pending++ === 0) worker.ref();
      worker.postMessage(message);
    },
    listen(listener) {
      worker.on('message', (message) => {
        if (--pending === 0) worker.unref();
        listener(message);
      });
    },
  };
}
