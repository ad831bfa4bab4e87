import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type CloudServer, startServer } from '@tandem/cloud';
import { EdgeModel } from '@tandem/edge';
import { type EdgeEndpoint, startEdgeEndpoint } from '@tandem/edge/endpoint';
import { prepareBundle } from '@tandem/model-kit';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { removeFolder, writeRandomCheckpoint } from '../support/random-checkpoint.js';

const TEMPLATE =
  "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %} w5{% else %} w3{% endif %} {{ m.content }}{% endfor %}{% if add_generation_prompt %} w4{% endif %}";

/** Conversations through the endpoint, by the official client. A model of random weights, with a chat template. */
describe('serve-edge, chat', () => {
  let checkpoint: string;
  let model: EdgeModel;
  let server: CloudServer;
  let endpoint: EdgeEndpoint;
  let client: OpenAI;

  beforeAll(async () => {
    checkpoint = await writeRandomCheckpoint();
    const config = { bos_token: 'w1', add_bos_token: true, chat_template: TEMPLATE };
    await writeFile(join(checkpoint, 'tokenizer_config.json'), JSON.stringify(config));
    const bundle = join(checkpoint, 'bundle');
    await prepareBundle({ checkpoint, out: bundle, exits: [2], cut: 2, formats: ['f32'] });
    server = await startServer({ model: bundle, port: 0, logLevel: 'silent', threads: 1 });
    model = await EdgeModel.load(bundle, { threads: 1 });
    endpoint = await startEdgeEndpoint(model, { cloud: { url: server.url } }, { port: 0 });
    client = new OpenAI({ baseURL: endpoint.url, apiKey: 'any', maxRetries: 0 });
  });
  afterAll(async () => {
    await endpoint.close();
    await model.dispose();
    await server.close();
    await removeFolder(checkpoint);
  });

  const messages = [
    { role: 'developer', content: 'w8' },
    {
      role: 'user',
      content: [
        { type: 'text', text: 'w9 ' },
        { type: 'text', text: 'w10' },
      ],
    },
  ] satisfies OpenAI.ChatCompletionMessageParam[];
  const asked = { messages, max_completion_tokens: 8, temperature: 0.9, seed: 3 };

  async function right(maxOutputTokens: number) {
    const session = await model.createSession({ cloud: { url: server.url } });
    const plain = [
      { role: 'system', content: 'w8' },
      { role: 'user', content: 'w9 w10' },
    ];
    const answer = await session.chat(plain, { maxOutputTokens, temperature: 0.9, seed: 3 });
    await session.dispose();
    return answer;
  }

  it('answers as session.chat does', async () => {
    const answer = await client.chat.completions.create({ ...asked, model: model.manifest.name });
    const { text, usage } = await right(8);
    expect(answer.object).toBe('chat.completion');
    expect(answer.choices[0]).toMatchObject({ message: { role: 'assistant', content: text }, finish_reason: 'length' });
    expect(answer.usage!.prompt_tokens).toBe(usage.inputTokens);
    expect(answer.usage!.completion_tokens).toBe(usage.outputTokens);
  });

  it('streams the same, by the helper of the client', async () => {
    const stream = client.chat.completions.stream({
      ...asked,
      model: model.manifest.name,
      stream_options: { include_usage: true },
    });
    const final = await stream.finalChatCompletion();
    const { text, usage } = await right(8);
    expect(final.choices[0]!.message).toMatchObject({ role: 'assistant', content: text });
    expect(final.choices[0]!.finish_reason).toBe('length');
    expect(final.usage!.total_tokens).toBe(usage.totalTokens);
  });

  it('tells log probabilities', async () => {
    const answer = await client.chat.completions.create({
      ...asked,
      model: model.manifest.name,
      logprobs: true,
      top_logprobs: 2,
    });
    const { content } = answer.choices[0]!.logprobs!;
    expect(content!.map(({ token }) => token).join('')).toBe(answer.choices[0]!.message.content);
    for (const { logprob, top_logprobs, bytes, token } of content!) {
      expect(logprob).toBeLessThan(0);
      expect(top_logprobs[0]!.logprob).toBeGreaterThanOrEqual(top_logprobs[1]!.logprob);
      expect(new TextDecoder().decode(Uint8Array.from(bytes!))).toBe(token);
    }
  });

  it('goes to the end of the context where nobody says how far', async () => {
    const { max_completion_tokens: _, ...open } = asked;
    const answer = await client.chat.completions.create({ ...open, model: model.manifest.name });
    expect(answer.usage!.total_tokens).toBe(model.manifest.contextLength);
    expect(answer.choices[0]!.finish_reason).toBe('length');
  });

  it.each<[string, object, string]>([
    ['a tool', { tools: [{ type: 'function', function: { name: 'f' } }] }, 'tools.0'],
    [
      'a picture',
      { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'data:' } }] }] },
      'messages.0.content',
    ],
    ['JSON mode', { response_format: { type: 'json_object' } }, 'response_format.type'],
    ['alternatives alone', { top_logprobs: 2 }, 'top_logprobs'],
    ['no message', { messages: [] }, 'messages'],
    ['the answer of a tool', { messages: [{ role: 'tool', content: 'a', tool_call_id: 'b' }] }, 'messages.0'],
  ])('refuses %s and names the field', async (_, change, field) => {
    const answer = client.chat.completions.create({ ...asked, ...change, model: model.manifest.name } as never);
    const error = await answer.then(
      () => undefined,
      (cause: unknown) => cause,
    );
    expect(error).toBeInstanceOf(OpenAI.BadRequestError);
    expect((error as InstanceType<typeof OpenAI.APIError>).param).toMatch(new RegExp(`^${field}`));
  });
});
