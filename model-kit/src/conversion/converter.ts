import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { type ModelShape, TandemError } from '@tandem/shared';
import { type ConversionJob, type Converted, convertLines } from './convert-lines.js';

/** Turns published numbers into those of a bundle. */
export interface Converter {
  /** Jobs that it works on at the same time. */
  readonly width: number;
  /** The job's bytes belong to the converter from then on. */
  convert(job: ConversionJob): Promise<Converted>;
  dispose(): Promise<void>;
}

/** In this thread: for models that are converted before a worker has started. */
export const inlineConverter: Converter = {
  width: 1,
  convert: async (job) => convertLines(job),
  dispose: async () => {},
};

interface Slot {
  worker: Worker;
  waiting: { resolve(result: Converted): void; reject(cause: unknown): void }[];
}

/** On worker threads, each with its own queue; a job goes to the shortest. */
export class ThreadedConverter implements Converter {
  readonly width: number;
  readonly #slots: Slot[];

  constructor(threads: number) {
    this.#slots = Array.from({ length: threads }, () => this.#start());
    // One job in work and one that waits, per thread.
    this.width = 2 * threads;
  }

  convert(job: ConversionJob): Promise<Converted> {
    const slot = this.#slots.reduce((best, other) => (other.waiting.length < best.waiting.length ? other : best));
    return new Promise((resolve, reject) => {
      slot.waiting.push({ resolve, reject });
      slot.worker.postMessage(job, [job.bytes.buffer as ArrayBuffer]);
    });
  }

  async dispose(): Promise<void> {
    await Promise.all(this.#slots.map(({ worker }) => worker.terminate()));
  }

  #start(): Slot {
    const worker = new Worker(new URL('./conversion-worker.js', import.meta.url));
    const slot: Slot = { worker, waiting: [] };
    // A worker answers in the order in which it was asked.
    worker.on('message', (result: Converted) => slot.waiting.shift()!.resolve(result));
    const fail = (cause: unknown) => {
      for (const { reject } of slot.waiting.splice(0)) reject(cause);
    };
    worker.on('error', fail);
    worker.on('exit', () => fail(new Error('a conversion thread ended')));
    return slot;
  }
}

/** Threads take a tenth of a second to start, in which this one converts some 10 million numbers. */
const THREADED_WEIGHTS_MIN = 20_000_000;
const THREADS_MAX = 16;

/** @throws TandemError INVALID_OPTION */
export function chooseConverter(shape: ModelShape, threads: number | undefined): Converter {
  if (threads !== undefined && (!Number.isInteger(threads) || threads < 1 || threads > THREADS_MAX))
    throw new TandemError('INVALID_OPTION', `threads ${threads}; choose 1 to ${THREADS_MAX}`);
  const { width, layers, feedForward, vocabularySize } = shape;
  const weights = vocabularySize * width + layers * width * (4 * width + 3 * feedForward);
  if (threads === undefined && weights < THREADED_WEIGHTS_MIN) return inlineConverter;
  return new ThreadedConverter(threads ?? Math.min(availableParallelism(), THREADS_MAX));
}
