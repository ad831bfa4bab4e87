/**
 * What does the device's half cost in a browser?
 *
 * In Chromium, WebAssembly, one thread. A stage of 6 layers, width 512, random f16 weights, one row behind 64, 512 and 2,048
 * positions: as the SDK runs it, and the same layers with a KV cache that is fetched anew after every step, as most
 * JavaScript does. Then the embedded model: loading until the first token with nothing stored and with everything stored, the main
 * thread's time per token of a story in exact mode, and memory after load and dispose, over and over.
 */
import { existsSync } from 'node:fs';
import { mkdir, open, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startServer } from '@tandem/cloud';
import { cachedBundle, encodeModel, prepareBundle } from '@tandem/model-kit';
import { type ModelShape, TandemError } from '@tandem/shared';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { buildFetchedGraph } from '../fetched-graph.js';
import { randomCheckpoint } from '../random-model.js';
import { currentCommit, describeMachine, formatColumns, roundMs } from '../report.js';
import type { BenchActions, StepRow } from './bench-page.js';
import { startBenchSite } from './bench-site.js';
import { pageProcessBytes } from './browser-memory.js';

const LAYERS = 6;
const SHAPE: ModelShape = {
  width: 512,
  layers: LAYERS + 1,
  heads: 8,
  kvHeads: 8,
  headDim: 64,
  feedForward: 1408,
  vocabularySize: 1000,
  contextLength: 2048 + 64,
  ropeTheta: 10_000,
  normEpsilon: 1e-5,
};
const STEPS = { contexts: [64, 512, 2048], repetitions: 21, warmUps: 3 };
const STORY_TOKENS = 120;
/** The first cycles fill caches that stay; growth is counted from there. */
const WARM_CYCLES = 10;
const HERE = dirname(fileURLToPath(import.meta.url));
const CACHE = join(HERE, '../../../.cache/bench-browser');
const TALES = join(HERE, '../../../models/tales');

export interface BrowserBenchOptions {
  json?: boolean;
  cycles: string;
  chromium: string;
}

export async function benchBrowser(options: BrowserBenchOptions): Promise<void> {
  const say = options.json ? () => {} : console.log;
  if (!existsSync(options.chromium)) {
    throw new TandemError('INVALID_OPTION', `no Chromium at ${options.chromium}; name one with --chromium`);
  }
  const tales = await cachedBundle(TALES, { exits: [2, 4], cut: 4, formats: ['f16'] });
  const site = await startBenchSite({ random: await prepareRandom(), tales });
  const server = await startServer({ model: tales, port: 0, format: 'f16', logLevel: 'silent' });
  const browser = await launch(options.chromium);
  try {
    say(`One row through ${LAYERS} layers, width ${SHAPE.width}; medians of ${STEPS.repetitions}, milliseconds.\n`);
    const rows = await onPage(await browser.newContext(), site.url, (page) => call(page, 'measureSteps', STEPS));
    say(formatTable(rows));
    const loads = await measureLoads(browser, site.url, server.url);
    const memoryGrowth = await measureMemory(browser, site.url, Number(options.cycles));
    say(`\nload to first token: ${loads.loadColdMs} ms cold, ${loads.loadWarmMs} ms from storage`);
    say(
      `main thread: ${loads.mainThreadMsPerToken} ms per token; memory after ${options.cycles} loads: × ${memoryGrowth}`,
    );
    const measured = { ...loads, memoryGrowth, cycles: Number(options.cycles) };
    const machine = `${describeMachine()}, Chromium ${browser.version()}`;
    console.log(
      JSON.stringify({ bench: 'browser', rows: rounded(rows), ...measured, machine, commit: currentCommit() }),
    );
  } finally {
    await browser.close();
    await server.close();
    await site.close();
  }
}

/** The two graphs, made on the first run and kept. */
async function prepareRandom(): Promise<string> {
  const folder = join(CACHE, `f16-${SHAPE.width}-${LAYERS}`);
  if (existsSync(join(folder, 'fetched.onnx'))) return folder;
  const checkpoint = randomCheckpoint(SHAPE);
  await mkdir(CACHE, { recursive: true });
  if (!existsSync(folder)) await prepareBundle({ checkpoint, cut: LAYERS, formats: ['f16'], out: folder });
  const part = join(folder, 'fetched.onnx.part');
  const file = await open(part, 'w');
  for await (const piece of encodeModel(buildFetchedGraph(checkpoint, LAYERS, 'f16'), 'fetched')) {
    await file.writeFile(piece);
  }
  await file.close();
  await rename(part, join(folder, 'fetched.onnx'));
  return folder;
}

async function measureLoads(browser: Browser, url: string, cloudUrl: string) {
  // One visitor: the second page finds what the first one stored.
  const visitor = await browser.newContext();
  const loadColdMs = roundMs(await onPage(visitor, url, (page) => call(page, 'loadToFirstToken'), false));
  const warm = await onPage(visitor, url, async (page) => {
    const loadWarmMs = roundMs(await call(page, 'loadToFirstToken'));
    // The first story compiles what all others use.
    await call(page, 'tell', cloudUrl, STORY_TOKENS);
    const spent = await watchMainThread(page);
    const tokens = await call(page, 'tell', cloudUrl, STORY_TOKENS);
    const { allMs, scriptMs } = await spent();
    const perToken = (ms: number) => roundMs(ms / tokens);
    return { loadWarmMs, mainThreadMsPerToken: perToken(allMs), scriptMsPerToken: perToken(scriptMs) };
  });
  return { loadColdMs, ...warm };
}

/**
 * Processor time of a page's main thread from now on, so that other programs count as little as can be: everything that it
 * does, drawing the text included, and the scripts alone, which are the SDK's part.
 */
async function watchMainThread(page: Page): Promise<() => Promise<{ allMs: number; scriptMs: number }>> {
  const devtools = await page.context().newCDPSession(page);
  await devtools.send('Performance.enable', { timeDomain: 'threadTicks' });
  const read = async (metric: string) => {
    const { metrics } = await devtools.send('Performance.getMetrics');
    return 1000 * metrics.find(({ name }) => name === metric)!.value;
  };
  const start = { allMs: await read('TaskDuration'), scriptMs: await read('ScriptDuration') };
  return async () => ({
    allMs: (await read('TaskDuration')) - start.allMs,
    scriptMs: (await read('ScriptDuration')) - start.scriptMs,
  });
}

/** Resident memory of the page's process, after so many loads against after the first few. */
async function measureMemory(browser: Browser, url: string, cycles: number): Promise<number | null> {
  return await onPage(await browser.newContext(), url, async (page) => {
    await call(page, 'cycle', WARM_CYCLES);
    const before = await pageProcessBytes(browser);
    await call(page, 'cycle', cycles);
    const after = await pageProcessBytes(browser);
    return before && after ? roundMs(after / before) : null;
  });
}

function launch(executablePath: string): Promise<Browser> {
  const args = ['--no-sandbox', '--disable-quic', '--no-first-run', '--disable-background-networking'];
  return chromium.launch({ executablePath, headless: true, args });
}

async function onPage<Result>(
  context: BrowserContext,
  url: string,
  work: (page: Page) => Promise<Result>,
  closesContext = true,
): Promise<Result> {
  const page = await context.newPage();
  try {
    await page.goto(url);
    await page.waitForFunction(() => 'bench' in globalThis);
    return await work(page);
  } finally {
    await (closesContext ? context.close() : page.close());
  }
}

async function call<Name extends keyof BenchActions>(
  page: Page,
  name: Name,
  ...parameters: Parameters<BenchActions[Name]>
): Promise<Awaited<ReturnType<BenchActions[Name]>>> {
  return (await page.evaluate(
    ([action, list]) => {
      const { bench } = globalThis as unknown as { bench: Record<string, (...list: unknown[]) => unknown> };
      return bench[action as string]!(...(list as unknown[]));
    },
    [name, parameters],
  )) as Awaited<ReturnType<BenchActions[Name]>>;
}

function rounded(rows: readonly StepRow[]): StepRow[] {
  return rows.map((row) => ({ ...row, stepMs: roundMs(row.stepMs), fetchedAnewMs: roundMs(row.fetchedAnewMs) }));
}

function formatTable(rows: readonly StepRow[]): string {
  const lines = rows.map(({ context, stepMs, fetchedAnewMs }) => [
    String(context),
    stepMs.toFixed(2),
    fetchedAnewMs.toFixed(2),
    `${(fetchedAnewMs / stepMs).toFixed(1)} ×`,
  ]);
  return formatColumns([['context', 'Tandem', 'fetched anew', 'ratio'], ...lines]);
}
