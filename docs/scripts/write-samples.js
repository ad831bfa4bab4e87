/**
 * `npm run docs`: ten unpicked samples of the embedded model, seeds 1 to 10, into its model card. The whole chain in one
 * process; every mode that promises the unsplit model's text tells the same.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { EdgeModel } from '@tandem/edge';
import { cachedBundle } from '@tandem/model-kit';
import { generateUnsplit } from '@tandem/shared';
import { loadChainEngine } from '@tandem/shared/node';

const TALES = fileURLToPath(new URL('../../models/tales', import.meta.url));
const PROMPT = 'Once upon a time';
const MARKED = /(<!-- samples: written by [^>]*-->)[\s\S]*?(?=\n## |$)/;

const directory = await cachedBundle(TALES, { exits: [2, 4], cut: 4, formats: ['f32', 'q8'] });
const model = await EdgeModel.load(directory, { format: 'f32' });
const engine = await loadChainEngine({ directory, format: 'f32', threads: 1, preload: 'all' });
const samples = [];
for (let seed = 1; seed <= 10; seed++) {
  const tokens = await generateUnsplit(engine, {
    prompt: model.tokenizer.encode(PROMPT),
    maxOutputTokens: 250,
    sampling: { temperature: 0.8, topK: 0, topP: 1, minP: 0, seed },
    codec: 'f32',
    eosTokenIds: model.manifest.eosTokenIds,
  });
  const ended = model.manifest.eosTokenIds.includes(tokens.at(-1)) ? '' : ' …';
  const text = PROMPT + model.tokenizer.decode(tokens) + ended;
  samples.push(`**Seed ${seed}.** ${text.trim().replace(/\n+/g, '\n\n')}`);
}
await engine.dispose();
await model.dispose();

const card = `${TALES}/README.md`;
const text = readFileSync(card, 'utf8');
if (!MARKED.test(text)) throw new Error(`${card} has no marker for samples`);
const intro = 'Ten samples as they came: seeds 1 to 10, temperature 0.8, f32 weights, at most 250 tokens, no picking.';
writeFileSync(
  card,
  text.replace(
    MARKED,
    `<!-- samples: written by docs/scripts/write-samples.js -->\n\n${intro}\n\n${samples.join('\n\n')}\n`,
  ),
);
process.stdout.write('models/tales/README.md\n');
