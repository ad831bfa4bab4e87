/**
 * How fast is text, on which link, and at what price in the cloud?
 *
 * Stories by the embedded model in every mode of Tandem and in the ways it is held against, the same openings and seed in the
 * same run. Virtual time: the production code under a simulated clock, stage times of a named profile, and the choices that
 * the real model really makes. Real time: a real server and a real device on this machine, only the link simulated.
 * What each baseline is, and how to read the columns: docs/benchmarks.md.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadTokenizer } from '@tandem/edge/testing';
import { cachedBundle } from '@tandem/model-kit';
import { PROFILES } from '@tandem/shared';
import { loadChainEngine, openBundle } from '@tandem/shared/node';
import { currentCommit, describeMachine } from '../report.js';
import { barsOf } from './bars.js';
import { breakEvens } from './break-even.js';
import { type DecodeFlags, type DecodeOptions, parseDecodeFlags } from './decode-options.js';
import { formatBars, formatBreakEvens, formatRows } from './decode-tables.js';
import { runForReal } from './real-runs.js';
import { ReplayModels } from './replay-models.js';
import { type DecodeRow, withRatios } from './row.js';
import type { Story } from './telling.js';
import { runVirtually } from './virtual-runs.js';

const TALES = fileURLToPath(new URL('../../../models/tales', import.meta.url));

export async function benchDecode(flags: DecodeFlags): Promise<void> {
  const options = parseDecodeFlags(flags);
  const say = options.isJson ? () => {} : console.log;
  const checkpoint = options.model ?? TALES;
  const directory = await cachedBundle(checkpoint, { exits: [2, 4], cut: 4, formats: ['f32', 'q8'] });
  const bundle = await openBundle(directory);
  const { manifest } = bundle;
  const entry = manifest.tokenizer.find(({ file }) => file === 'tokenizer.json')!;
  const tokenizer = loadTokenizer(await bundle.readVerified(entry), manifest.bosTokenId);
  const openings = (await readFile(join(checkpoint, 'openings.txt'), 'utf8')).trim().split('\n');
  const stories = openings.slice(0, options.prompts).map((prompt): Story => {
    return { prompt, promptTokens: tokenizer.encode(prompt), maxOutputTokens: options.tokens };
  });
  const { temperature, seed } = options;
  const sampling = { temperature, topK: 0, topP: 1, minP: 0, seed };
  const engine = await loadChainEngine({ directory, format: options.format, threads: 1, preload: 'all' });
  const models = new ReplayModels({ engine, manifest, sampling, keep: options.keepsAnswers });
  const onRow = ({ clock, profile, mode, rttMs, tokensPerS }: DecodeRow) =>
    say(`  ${clock} ${profile}  ${rttMs} ms  ${mode}: ${tokensPerS} tokens/s`);
  const run = { options, models, manifest, tokenizer, stories, sampling, onRow, say };
  const rows: DecodeRow[] = [];
  if (options.clocks.includes('virtual')) rows.push(...(await runVirtually(run)));
  if (options.clocks.includes('real')) {
    const few = stories.slice(0, options.realPrompts);
    const short = few.map((story) => ({ ...story, maxOutputTokens: Math.min(options.tokens, options.realTokens) }));
    rows.push(...(await runForReal({ ...run, stories: short }, directory)));
  }
  await models.save();
  say(`  ${await models.asked()} texts were put to the model`);
  await engine.dispose();
  report(options, withRatios(rows), stories.length, say);
}

function report(
  options: DecodeOptions,
  rows: readonly DecodeRow[],
  stories: number,
  say: (text: string) => void,
): void {
  const bars = barsOf(rows);
  const breakEven = breakEvens(rows);
  say(`\n${formatRows(rows)}\n\n${formatBreakEvens(breakEven)}\n\n${formatBars(bars)}\n`);
  // The headline profile's figures by mode; all of them under a name of their own.
  const headline = Object.values(breakEven)[0] ?? {};
  const { seed, temperature, tokens, format, overrides, realPrompts, realTokens } = options;
  console.log(
    JSON.stringify({
      bench: 'decode',
      breakEvenRttMs: Object.fromEntries(Object.entries(headline).map(([mode, { rttMs }]) => [mode, rttMs])),
      rows,
      bars,
      breakEven,
      profiles: options.profiles.map((name) => PROFILES[name]),
      stories,
      tokens,
      real: { stories: Math.min(stories, realPrompts), tokens: Math.min(tokens, realTokens) },
      seed,
      temperature,
      format,
      overrides,
      machine: describeMachine(),
      commit: currentCommit(),
    }),
  );
}
