/**
 * The demo: a server and a device in one command, a simulated link between them, and a story that is coloured by where
 * each token was decided. At the end the whole model runs unsplit, and the tokens are compared.
 */
import { fileURLToPath } from 'node:url';
import { startServer } from '@tandem/cloud';
import { EdgeModel, type GenerationResult, isTandemError } from '@tandem/edge';
import { cachedBundle } from '@tandem/model-kit';
import { presets, simulateLink } from '@tandem/netsim';
import { type Connect, generateUnsplit } from '@tandem/shared';
import { loadChainEngine } from '@tandem/shared/node';
import { parseStoryOptions, type StoryOptions } from './options.js';
import { formatTable, legend, paint, summarise } from './report.js';

const TALES = fileURLToPath(new URL('../../../models/tales', import.meta.url));

async function main(options: StoryOptions): Promise<void> {
  const say = options.json ? () => {} : (text: string) => process.stdout.write(text);
  const bundle = await cachedBundle(TALES, {
    exits: [2, 4],
    cut: 4,
    formats: [options.format],
    onMissing: () => process.stderr.write('Preparing the bundle (once)…\n'),
  });
  const model = await EdgeModel.load(bundle, { format: options.format });
  try {
    const result = await tell(bundle, model, options, say);
    const report = summarise(options.prompt, options.mode, result, await tellUnsplit(bundle, model, options));
    say(`\n\n${formatTable(report, result)}\n`);
    if (options.json) process.stdout.write(`${JSON.stringify(report)}\n`);
  } finally {
    await model.dispose();
  }
}

/** The split run: device stages in a worker, the server's in a child process, the link between them simulated. */
async function tell(
  bundle: string,
  model: EdgeModel,
  options: StoryOptions,
  say: (text: string) => void,
): Promise<GenerationResult> {
  const { prompt, mode, codec, draftLength, threshold, maxTokens: maxOutputTokens, temperature, seed } = options;
  const server = await startServer({ model: bundle, port: 0, format: options.format, logLevel: 'silent' });
  const cloud = { url: server.url, wrapTransport: (connect: Connect) => throughLink(connect, options) };
  const session = await model.createSession({ mode, codec, draftLength, threshold, cloud });
  try {
    say(`${legend()}   ${mode} over ${options.link}\n\n${prompt}`);
    const generation = session.generate(prompt, { maxOutputTokens, temperature, seed });
    for await (const part of generation) say(paint(part.text, part.tokens.at(-1)?.origin));
    return await generation;
  } finally {
    await session.dispose();
    await server.close();
  }
}

function throughLink(connect: Connect, { link, seed }: StoryOptions): Connect {
  const profile = link === 'none' ? undefined : presets[link];
  return profile ? simulateLink(connect, profile, { seed }).connect : connect;
}

/** The same story from the whole chain in one process: what every mode is compared with. */
async function tellUnsplit(bundle: string, model: EdgeModel, options: StoryOptions): Promise<number[]> {
  const { format, temperature, seed, maxTokens: maxOutputTokens, codec, prompt } = options;
  const engine = await loadChainEngine({ directory: bundle, format, threads: 1, preload: 'all' });
  try {
    return await generateUnsplit(engine, {
      prompt: model.tokenizer.encode(prompt),
      maxOutputTokens,
      sampling: { temperature, topK: 0, topP: 1, minP: 0, seed },
      codec,
      eosTokenIds: model.manifest.eosTokenIds,
    });
  } finally {
    await engine.dispose();
  }
}

main(parseStoryOptions(process.argv)).catch((error) => {
  // A TandemError says what to do; a stack would only hide it.
  process.stderr.write(isTandemError(error) ? `${error.message}\n` : `${error?.stack ?? error}\n`);
  process.exitCode = 1;
});
