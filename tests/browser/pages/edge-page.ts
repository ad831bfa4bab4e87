/** A page that does what a test asks: it tells stories and lends its engine. Everything that crosses is plain data. */
import { EdgeModel, isTandemError, type LoadOptions, type LoadProgress, type SessionOptions } from '@tandem/edge';
import { gpuObstacle, openDeviceModel } from '@tandem/edge/testing';
import type { Engine } from '@tandem/shared';

export interface PageStory {
  cloudUrl: string;
  opening: string;
  temperature: number;
  seed: number;
  maxOutputTokens: number;
  session?: Omit<SessionOptions, 'cloud'>;
}

export interface PageFailure {
  code: string;
  message: string;
}

let model: EdgeModel | undefined;
let engine: Engine | undefined;

const actions = {
  async load(source: string, options: LoadOptions = {}) {
    const progress: LoadProgress[] = [];
    model = await EdgeModel.load(source, { ...options, onProgress: (step) => progress.push(step) });
    return { backend: model.backend, progress };
  },

  /** In a worker that is the app's. */
  loadInOwnWorker(source: string): Promise<string> {
    const worker = new Worker('own-worker.js', { type: 'module' });
    worker.postMessage(source);
    return new Promise((resolve) => worker.addEventListener('message', ({ data }) => resolve(data), { once: true }));
  },

  /** Aborts in the same task: before there is a worker to tell. */
  async loadAndAbort(source: string) {
    const stop = new AbortController();
    const loading = EdgeModel.load(source, { signal: stop.signal });
    stop.abort();
    await loading;
  },

  backend: () => model!.backend,

  gpuObstacle,

  async dispose() {
    await model?.dispose();
    model = undefined;
  },

  availability: (source: string) => EdgeModel.availability(source),

  async download(source: string, options: LoadOptions = {}) {
    const progress: LoadProgress[] = [];
    await EdgeModel.download(source, { ...options, onProgress: (step) => progress.push(step) });
    return progress;
  },

  /** Aborts once so many bytes are there. */
  async downloadUntil(source: string, loadedBytesMax: number) {
    const stop = new AbortController();
    const onProgress = ({ loadedBytes }: LoadProgress) => loadedBytes >= loadedBytesMax && stop.abort();
    await EdgeModel.download(source, { signal: stop.signal, onProgress });
  },

  async tell({ cloudUrl, opening, session: options, ...rules }: PageStory) {
    const session = await model!.createSession({ onCloudUnavailable: 'wait', ...options, cloud: { url: cloudUrl } });
    try {
      const generation = session.generate(opening, rules);
      const progress = Object.assign(globalThis, { told: 0, longestGapMs: 0 });
      let lastMs = performance.now();
      for await (const part of generation) {
        progress.told += part.tokens.length;
        progress.longestGapMs = Math.max(progress.longestGapMs, performance.now() - lastMs);
        lastMs = performance.now();
      }
      const { text, tokens, transfer } = await generation;
      return { text, tokens: tokens.map(({ id }) => id), origins: tokens.map(({ origin }) => origin), transfer };
    } finally {
      await session.dispose();
    }
  },

  /** Interrupts a story and goes on with it, in a session that was saved. */
  async tellInPieces({ cloudUrl, opening, session: options, ...rules }: PageStory) {
    const cloud = { url: async () => cloudUrl };
    const session = await model!.createSession({ onCloudUnavailable: 'wait', ...options, cloud });
    let told = 0;
    const generation = session.generate(opening, rules);
    for await (const { tokens } of generation) {
      told += tokens.length;
      if (told >= rules.maxOutputTokens / 2) break;
    }
    const code = await generation.then(
      () => 'none',
      (error: unknown) => (isTandemError(error) ? error.code : 'UNKNOWN'),
    );
    const bytes = await session.save();
    await session.dispose();
    const restored = await model!.restoreSession(bytes, { cloud, onCloudUnavailable: 'wait' });
    const { tokens } = await restored.continue();
    await restored.dispose();
    return { code, tokens: tokens.map(({ id }) => id) };
  },

  encode: (text: string) => model!.tokenizer.encode(text),

  /** An engine of its own, for the oracle: same worker code, same weights, no session around it. */
  async openEngine(source: string, device: 'auto' | 'webgpu' = 'auto', codec: 'f16' | 'f32' = 'f16') {
    engine = (await openDeviceModel(source, { device, storage: 'auto' })).engine;
    const capacity = Math.min(512, engine.info.contextLength);
    await engine.open({ session: 'oracle', firstStage: 0, endStage: 2, capacity, codec });
  },

  /** Encoded rows at the cut for these tokens, which belong at `from`. */
  async rows(from: number, tokens: number[]): Promise<number[]> {
    const result = await engine!.step({
      session: 'oracle',
      from,
      input: { kind: 'tokens', tokens: Int32Array.from(tokens) },
      depth: 2,
      want: [],
      drafts: [],
      sampling: { temperature: 0, topK: 0, topP: 1, minP: 0, seed: 0 },
    });
    return [...result.encodedRows];
  },
};

export type PageActions = typeof actions;

/** Errors lose their class on the way to the test, so that their code crosses as data. */
Object.assign(globalThis, {
  async act(name: keyof PageActions, parameters: unknown[]): Promise<{ value: unknown } | { failure: PageFailure }> {
    try {
      const action = actions[name] as (...parameters: unknown[]) => unknown;
      return { value: await action(...parameters) };
    } catch (error) {
      const code = isTandemError(error) ? error.code : 'UNKNOWN';
      return { failure: { code, message: error instanceof Error ? error.message : String(error) } };
    }
  },
});
