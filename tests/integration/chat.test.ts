import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EdgeModel } from '@tandem/edge';
import { prepareBundle } from '@tandem/model-kit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { removeFolder, writeRandomCheckpoint } from '../support/random-checkpoint.js';

const TEMPLATE =
  "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %} w3 {{ m.content }}{% endfor %}{% if add_generation_prompt %} w4{% endif %}";
const MESSAGES = [
  { role: 'user', content: 'w9 w10' },
  { role: 'assistant', content: 'w11' },
  { role: 'user', content: 'w12' },
];

let checkpoint: string;
let model: EdgeModel;

async function load(): Promise<EdgeModel> {
  const out = join(checkpoint, 'bundle');
  await prepareBundle({ checkpoint, out, exits: [2], cut: 2, formats: ['f32'] });
  return await EdgeModel.load(out, { threads: 1 });
}

beforeAll(async () => {
  checkpoint = await writeRandomCheckpoint();
  const config = { bos_token: 'w1', add_bos_token: true, chat_template: TEMPLATE };
  await writeFile(join(checkpoint, 'tokenizer_config.json'), JSON.stringify(config));
  model = await load();
});
afterAll(async () => {
  await model.dispose();
  await removeFolder(checkpoint);
});

describe('session.chat', () => {
  it('continues the conversation as the template writes it, with one first token', async () => {
    expect(model.applyChatTemplate(MESSAGES)).toBe('w1 w3 w9 w10 w3 w11 w3 w12 w4');
    expect(model.applyChatTemplate(MESSAGES, { addGenerationPrompt: false })).toBe('w1 w3 w9 w10 w3 w11 w3 w12');
    const session = await model.createSession({ mode: 'device-only' });
    const answer = await session.chat(MESSAGES, { maxOutputTokens: 8, temperature: 0 });
    expect(answer.usage.inputTokens).toBe(9);
    const prompt = 'w3 w9 w10 w3 w11 w3 w12 w4';
    const same = await session.generate(prompt, { maxOutputTokens: 8, temperature: 0 });
    expect(same.usage.inputTokens).toBe(9);
    expect(answer.text).toBe(same.text);
    await session.dispose();
  });

  it('tells what the template refuses', async () => {
    const session = await model.createSession({ mode: 'device-only' });
    const chat = session.chat([{ role: 'system', content: 'x' }]);
    await expect(chat).rejects.toThrow(
      /^INVALID_OPTION: chat: the model's template refuses these messages: no system$/,
    );
    await expect(session.chat([])).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    await session.dispose();
  });

  it('ends at a token of generation_config.json', async () => {
    const session = await model.createSession({ mode: 'device-only' });
    const { tokens } = await session.chat(MESSAGES, { maxOutputTokens: 6, temperature: 0 });
    await session.dispose();
    const end = tokens[3]!.id;
    await writeFile(join(checkpoint, 'generation_config.json'), JSON.stringify({ eos_token_id: [2, end] }));
    const other = await load();
    expect(other.manifest.eosTokenIds).toEqual([2, end]);
    const session2 = await other.createSession({ mode: 'device-only' });
    const answer = await session2.chat(MESSAGES, { maxOutputTokens: 6, temperature: 0 });
    const first = tokens.findIndex(({ id }) => id === end);
    expect([answer.finishReason, answer.tokens.length]).toEqual(['stop', first + 1]);
    await other.dispose();
  });

  it('says so where the model has no template', async () => {
    await writeFile(join(checkpoint, 'tokenizer_config.json'), JSON.stringify({ add_bos_token: true }));
    const plain = await load();
    const session = await plain.createSession({ mode: 'device-only' });
    await expect(session.chat(MESSAGES)).rejects.toThrow(
      /has no chat template; use generate with a prompt of your own/,
    );
    await plain.dispose();
  });
});
