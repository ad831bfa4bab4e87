import { type CloudServer, startServer } from '@tandem/cloud';
import { type ChainEngine, f16Codec, generateUnsplit, type SamplingSettings, StageChain } from '@tandem/shared';
import { loadChainEngine, openBundle } from '@tandem/shared/node';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CHROMIUM, inChromium, launchChromium } from '../support/chromium.js';
import { type EdgePage, openEdgePage } from '../support/edge-page.js';
import { OPENINGS, talesBundle } from '../support/tales.js';
import { loadWasmStage } from '../support/wasm-stages.js';
import { startWebApp, type WebApp } from '../support/web-app.js';

const EOS = 0;

/**
 * The oracle in a browser. The device's rows come from WASM kernels, whose sums differ from native ones in the last place,
 * so the unsplit run is one chain of both: the device's stages in the page, the deeper ones here, token by token, no drafts.
 */
describe.skipIf(!CHROMIUM)(inChromium('a story in Chromium'), () => {
  let browser: Browser;
  let app: WebApp;
  let server: CloudServer;
  let cloud: ChainEngine;
  let page: EdgePage;

  beforeAll(async () => {
    const bundle = await talesBundle(['f16']);
    browser = await launchChromium();
    app = await startWebApp('edge-page.ts', bundle);
    server = await startServer({ model: bundle, port: 0, format: 'f16', logLevel: 'silent', threads: 1 });
    cloud = await loadChainEngine({ directory: bundle, format: 'f16', threads: 1, preload: 'all' });
    page = await openEdgePage(browser, app.url);
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
    await cloud?.dispose();
    await app?.close();
  });

  const sampling = (temperature: number, seed: number): SamplingSettings => ({
    temperature,
    topK: 0,
    topP: 1,
    minP: 0,
    seed,
  });

  it('loads in a page with a strict policy that is not cross-origin isolated', async () => {
    const { backend, progress } = await page.act('load', 'model');
    expect(backend).toBe('onnxruntime-web wasm, f16 (webgpu: a model this small is quicker without)');
    expect(progress.at(-1)).toMatchObject({ stage: 'ready' });
    expect(await page.page.evaluate('crossOriginIsolated')).toBe(false);
    expect(page.complaints).toEqual([]);
  });

  it('exact mode tells what the unsplit chain of these stages tells', async () => {
    await page.act('openEngine', 'model');
    for (const [index, opening] of OPENINGS.slice(0, 4).entries()) {
      const rules = { temperature: index % 2 === 0 ? 0.8 : 0, seed: index + 1, maxOutputTokens: 40 };
      const told = await page.act('tell', { cloudUrl: server.url, opening, ...rules });
      expect(told.tokens, opening).toEqual(await unsplit(opening, rules));
      expect(told.transfer.roundTrips).toBeLessThan(told.tokens.length);
    }
    expect(page.complaints).toEqual([]);
  });

  it('rows have the bits that the same WebAssembly gives in Node, where the contract suite runs on it', async () => {
    const prompt = await page.act('encode', OPENINGS[9]!.repeat(2));
    const bundle = await openBundle(await talesBundle(['f16']));
    const models = await Promise.all([0, 1].map((index) => loadWasmStage(bundle, index, 'f16')));
    const chain = new StageChain(
      models.map((model) => model.open(prompt.length)),
      cloud.info.width,
      undefined,
    );
    chain.append({ kind: 'tokens', tokens: Int32Array.from(prompt) });
    const { rows } = await chain.run(2, []);
    const bytes = new Uint8Array(prompt.length * f16Codec.bytesPerRow(cloud.info.width));
    f16Codec.encode(rows, cloud.info.width, bytes);
    const together = await page.act('rows', 0, prompt);
    expect(together).toEqual([...bytes]);
    const apart: number[] = [];
    for (const [index, token] of prompt.entries()) apart.push(...(await page.act('rows', index, [token])));
    expect(apart).toEqual(together);
  });

  it('the text is the one that Node tells with the same seed', async () => {
    for (const [index, opening] of OPENINGS.slice(20, 24).entries()) {
      const rules = { temperature: 0.8, seed: index, maxOutputTokens: 40 };
      const told = await page.act('tell', { cloudUrl: server.url, opening, ...rules });
      const native = await generateUnsplit(cloud, {
        prompt: await page.act('encode', opening),
        maxOutputTokens: rules.maxOutputTokens,
        sampling: sampling(rules.temperature, rules.seed),
        codec: 'f16',
        eosTokenIds: [EOS],
        session: `native ${index}`,
      });
      expect(told.tokens, opening).toEqual(native);
    }
  });

  it('the device alone tells a story without a socket', async () => {
    const story = {
      cloudUrl: 'ws://127.0.0.1:9',
      opening: OPENINGS[5]!,
      temperature: 0.8,
      seed: 5,
      maxOutputTokens: 30,
    };
    const told = await page.act('tell', { ...story, session: { mode: 'device-only' } });
    expect(told.tokens.length).toBeGreaterThan(0);
    expect(told.origins.every(({ kind }) => kind === 'exit')).toBe(true);
    expect(told.transfer.bytesUp).toBe(0);
  });

  it('a server that is away is CLOUD_UNAVAILABLE', async () => {
    const story = { cloudUrl: 'ws://127.0.0.1:9', opening: 'Once', temperature: 0, seed: 1, maxOutputTokens: 4 };
    const told = page.act('tell', { ...story, session: { onCloudUnavailable: 'fail' } });
    await expect(told).rejects.toMatchObject({ code: 'CLOUD_UNAVAILABLE' });
  });

  /** Rows from the page, one token at a time; choices from the deeper stages here. */
  async function unsplit(
    opening: string,
    rules: { temperature: number; seed: number; maxOutputTokens: number },
  ): Promise<number[]> {
    const { deviceStages, stages, contextLength } = cloud.info;
    const session = `oracle ${opening}`;
    await cloud.open({
      session,
      firstStage: deviceStages,
      endStage: stages,
      capacity: contextLength,
      codec: 'f16',
    });
    const output: number[] = [];
    let input = await page.act('encode', opening);
    for (let length = 0; output.length < rules.maxOutputTokens; ) {
      const bytes = Uint8Array.from(await page.act('rows', length, input));
      const { choices } = await cloud.step({
        session,
        from: length,
        input: { kind: 'encoded-rows', bytes },
        depth: stages - deviceStages,
        want: [length + input.length - 1],
        drafts: [],
        sampling: sampling(rules.temperature, rules.seed),
      });
      length += input.length;
      output.push(choices[0]!.token);
      if (choices[0]!.token === EOS) break;
      input = [choices[0]!.token];
    }
    await cloud.close(session);
    return output;
  }
});
