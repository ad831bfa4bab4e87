/**
 * What does a context cost, hot and cold, and what does a lost or shared one save?
 *
 * Embedded model. Bytes per session as the server counts them; milliseconds to bring a lost KV cache back, from the
 * server's rows, from token ids through all layers, and by sending the rows again over 4g (computed: rows over the uplink,
 * one round trip, the same pass); time to first token of a long prompt over a simulated 4g link, alone and when another
 * session has sent the same beginning.
 */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type CloudServer, startServer } from '@tandem/cloud';
import { EdgeModel, type SessionOptions } from '@tandem/edge';
import { cachedBundle } from '@tandem/model-kit';
import { presets, simulateLink } from '@tandem/netsim';
import { type Connect, GREEDY, PREFIX_BLOCK_TOKENS, rowCodec } from '@tandem/shared';
import { loadChainEngine } from '@tandem/shared/node';
import { currentCommit, describeMachine, formatColumns, median, roundMs } from './report.js';

const TALES = fileURLToPath(new URL('../../models/tales', import.meta.url));
const LINK = presets['4g'];
const CODEC = 'f16';
const FORMAT = 'q8';
/** Whole blocks, as long as the model's context allows with a few tokens behind. */
const PREFIX_TOKENS = 7 * PREFIX_BLOCK_TOKENS;
const REPETITIONS = 7;

export async function benchContext(options: { json?: boolean }): Promise<void> {
  const say = options.json ? () => {} : console.log;
  say(
    `Contexts of the embedded model, ${FORMAT} weights, rows in ${CODEC}, prefix of ${PREFIX_TOKENS} tokens, 4g; medians of ${REPETITIONS}.\n`,
  );
  const bundle = await cachedBundle(TALES, { exits: [2, 4], cut: 4, formats: ['f32', 'q8'] });
  const server = await startServer({ model: bundle, format: FORMAT, port: 0, threads: 1, logLevel: 'silent' });
  const model = await EdgeModel.load(bundle, { format: FORMAT, threads: 1 });
  const prefix = prefixText(model);
  const bytes = await measureBytes(server, model, prefix);
  const rebuild = await measureRebuild(bundle);
  const first = await measureFirstToken(server, model, prefix);
  await model.dispose();
  await server.close();
  say(
    formatColumns([
      ['', 'value'],
      ['KV bytes a token, hot', String(bytes.hotBytesPerToken)],
      ['row bytes a token, cold', String(bytes.coldBytesPerToken)],
      ['rebuild from rows, ms per 1,000 tokens', String(rebuild.fromRowsMs)],
      ['recompute from token ids', String(rebuild.fromTokensMs)],
      ['send again over 4g (computed)', String(rebuild.overNetworkMs)],
      ['first token, prompt as rows, ms', String(first.aloneMs)],
      ['first token, prompt as token ids, ms', String(first.asTokensMs)],
      ['first token, prefix shared, ms', String(first.sharedMs)],
      ['of it, the device itself, ms', String(first.deviceMs)],
      ['times faster than rows', String(first.timesFaster)],
      ['times faster than token ids', String(first.timesFasterThanTokens)],
      ['the same on an open connection: as rows, ms', String(first.openAloneMs)],
      ['prefix shared, ms', String(first.openSharedMs)],
      ['times faster than rows', String(first.openTimesFaster)],
    ]),
  );
  const figures = { ...bytes, ...rebuild, ...first };
  console.log(JSON.stringify({ bench: 'context', ...figures, machine: describeMachine(), commit: currentCommit() }));
}

function prefixText(model: EdgeModel): string {
  const openings = readFileSync(`${TALES}/openings.txt`, 'utf8').trim().split('\n');
  let text = '';
  for (const opening of openings) {
    if (model.tokenizer.encode(text).length >= PREFIX_TOKENS) break;
    text += `${opening} `;
  }
  return model.tokenizer.decode(model.tokenizer.encode(text).slice(0, PREFIX_TOKENS + 8));
}

/** One session, connected, then gone: what the server's gauges say. */
async function measureBytes(server: CloudServer, model: EdgeModel, prefix: string) {
  const session = await model.createSession({ mode: 'exact', codec: CODEC, cloud: { url: server.url } });
  await session.generate(prefix, { maxOutputTokens: 4, temperature: 0 });
  const tokens = model.tokenizer.encode(prefix).length + 4;
  const hot = await gauge(server, 'tandem_context_bytes{state="hot"}');
  await session.dispose();
  return {
    hotBytesPerToken: Math.round(hot / tokens),
    coldBytesPerToken: rowCodec(CODEC).bytesPerRow(model.manifest.width),
  };
}

async function gauge(server: CloudServer, sample: string): Promise<number> {
  const answer = await fetch(`${server.url.replace(/^ws/, 'http')}/metrics`);
  const line = (await answer.text()).split('\n').find((text) => text.startsWith(`${sample} `));
  return Number(line?.slice(sample.length));
}

/** A pass over rows behind the cut, and one over token ids through all layers, in pieces as the server runs them. */
async function measureRebuild(directory: string) {
  const engine = await loadChainEngine({ directory, format: FORMAT, threads: 1, preload: 'all' });
  const { width, stages, deviceStages } = engine.info;
  const bytesPerRow = rowCodec(CODEC).bytesPerRow(width);
  const passMs = async (firstStage: number) => {
    const session = `pass-${firstStage}`;
    await engine.open({ session, firstStage, endStage: stages, capacity: PREFIX_TOKENS, codec: CODEC });
    const startedMs = performance.now();
    for (let from = 0; from < PREFIX_TOKENS; from += PREFIX_BLOCK_TOKENS) {
      const tokens = Int32Array.from({ length: PREFIX_BLOCK_TOKENS }, (_, index) => 3 + ((from + index) % 1_000));
      const rows = { kind: 'encoded-rows' as const, bytes: new Uint8Array(PREFIX_BLOCK_TOKENS * bytesPerRow) };
      const input = firstStage === 0 ? { kind: 'tokens' as const, tokens } : rows;
      await engine.step({ session, from, input, depth: stages - firstStage, want: [], drafts: [], sampling: GREEDY });
    }
    const elapsedMs = performance.now() - startedMs;
    await engine.close(session);
    return elapsedMs;
  };
  const fromRows: number[] = [];
  const fromTokens: number[] = [];
  for (let i = 0; i < REPETITIONS; i++) {
    fromRows.push(await passMs(deviceStages));
    fromTokens.push(await passMs(0));
  }
  await engine.dispose();
  const per1000 = 1_000 / PREFIX_TOKENS;
  const fromRowsMs = roundMs(median(fromRows) * per1000);
  const uplinkMs = ((1_000 * bytesPerRow) / (LINK.upBytesPerS ?? Number.POSITIVE_INFINITY)) * 1_000 + (LINK.rttMs ?? 0);
  return {
    fromRowsMs,
    fromTokensMs: roundMs(median(fromTokens) * per1000),
    overNetworkMs: roundMs(fromRowsMs + uplinkMs),
  };
}

/** Alternating, so that whatever else the machine does disturbs both alike. */
async function measureFirstToken(server: CloudServer, model: EdgeModel, prefix: string) {
  const alone: number[] = [];
  const tokens: number[] = [];
  const shared: number[] = [];
  const device: number[] = [];
  const openAlone: number[] = [];
  const openShared: number[] = [];
  await firstToken(server, model, prefix, 0, { sharedPrefix: prefix });
  for (let i = 1; i <= REPETITIONS; i++) {
    alone.push((await firstToken(server, model, prefix, i)).firstMs);
    tokens.push((await firstToken(server, model, prefix, i, { promptAs: 'tokens' })).firstMs);
    const { firstMs, deviceMs } = await firstToken(server, model, prefix, i, { sharedPrefix: prefix });
    shared.push(firstMs);
    device.push(deviceMs);
    openAlone.push((await firstToken(server, model, prefix, i, {}, true)).firstMs);
    openShared.push((await firstToken(server, model, prefix, i, { sharedPrefix: prefix }, true)).firstMs);
  }
  const [aloneMs, tokensMs, sharedMs] = [median(alone), median(tokens), median(shared)];
  return {
    aloneMs: roundMs(aloneMs),
    asTokensMs: roundMs(tokensMs),
    sharedMs: roundMs(sharedMs),
    deviceMs: roundMs(median(device)),
    timesFaster: roundMs(aloneMs / sharedMs),
    timesFasterThanTokens: roundMs(tokensMs / sharedMs),
    openAloneMs: roundMs(median(openAlone)),
    openSharedMs: roundMs(median(openShared)),
    openTimesFaster: roundMs(median(openAlone) / median(openShared)),
  };
}

/**
 * From the creation of the session on: that is where a shared prefix is copied, and where the connection is made. `isOpen`:
 * from the question on, in a session that an app opened while its user was writing.
 */
async function firstToken(
  server: CloudServer,
  model: EdgeModel,
  prefix: string,
  seed: number,
  options: Partial<SessionOptions> = {},
  isOpen = false,
) {
  const startedMs = performance.now();
  const wrapTransport = (connect: Connect) => simulateLink(connect, LINK, { seed }).connect;
  const session = await model.createSession({
    mode: 'exact',
    codec: CODEC,
    onCloudUnavailable: 'wait',
    cloud: { url: server.url, wrapTransport },
    promptAs: 'rows',
    ...options,
  });
  const prompt = `${prefix} One day, number ${seed}`;
  const createdMs = isOpen ? 0 : performance.now() - startedMs;
  while (isOpen && session.connection !== 'open') await new Promise((resolve) => setTimeout(resolve, 5));
  const { timings } = await session.generate(prompt, { maxOutputTokens: 1, temperature: 0 });
  await session.dispose();
  return { firstMs: createdMs + timings.timeToFirstTokenMs, deviceMs: timings.deviceMs };
}
