import { readFileSync } from 'node:fs';
import { ChatTemplate, readChatTemplate } from '@tandem/edge/testing';
import { describe, expect, it } from 'vitest';

interface Fixture {
  templates: Record<string, { source: string; bos: string | null; eos: string | null }>;
  cases: {
    template: string;
    messages: { role: string; content: string }[];
    addGenerationPrompt: boolean;
    text?: string;
    error?: string;
  }[];
}

/** Made with Hugging Face transformers (tests/fixtures/make-chat-templates.py). */
const fixture: Fixture = JSON.parse(readFileSync(new URL('../fixtures/chat-templates.json', import.meta.url), 'utf8'));

const bytes = (value: unknown) => new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value));

describe.each(Object.entries(fixture.templates))('chat template %s', (name, { source, bos, eos }) => {
  const config = { chat_template: source, ...(bos && { bos_token: bos }), ...(eos && { eos_token: { content: eos } }) };
  const template = readChatTemplate({ config: bytes(config) })!;
  const cases = fixture.cases.filter((entry) => entry.template === name);

  it.each(cases.map((entry, index) => [index, entry] as const))(
    'writes conversation %i as the reference does',
    (_, entry) => {
      const { messages, addGenerationPrompt, text, error } = entry;
      const render = () => template.render(messages, { addGenerationPrompt });
      if (text !== undefined) expect(render()).toBe(text);
      else expect(render).toThrow(`INVALID_OPTION: chat: the model's template refuses these messages: ${error}`);
    },
  );
});

describe('a chat template', () => {
  it('comes from its own file first, then by the name "default"', () => {
    const named = [
      { name: 'tool_use', template: 'tools' },
      { name: 'default', template: 'chat {{ bos_token }}' },
    ];
    const config = bytes({ chat_template: named, bos_token: '<s>' });
    const messages = [{ role: 'user', content: 'x' }];
    expect(readChatTemplate({ config })!.render(messages)).toBe('chat <s>');
    expect(readChatTemplate({ config, jinja: bytes('own {{ bos_token }}') })!.render(messages)).toBe('own <s>');
    expect(readChatTemplate({ config: bytes({ bos_token: '<s>' }) })).toBeUndefined();
    expect(readChatTemplate({})).toBeUndefined();
  });

  it('that cannot be read says so', () => {
    expect(() => readChatTemplate({ jinja: bytes('{% for %}') })).toThrow(
      'BUNDLE_CORRUPT: the chat template cannot be read',
    );
    expect(() => readChatTemplate({ config: bytes('[') })).toThrow(
      'BUNDLE_CORRUPT: tokenizer_config.json is not a JSON object',
    );
  });

  it.each([
    [[], 'messages.'],
    [[{ role: 'user' }], 'messages.0.content'],
    [[{ role: 'user', content: 'x', name: 'y' }], 'messages.0'],
    ['hello', 'messages.'],
  ])('refuses %j', (messages, text) => {
    const template = new ChatTemplate('x', {});
    expect(() => template.render(messages as never)).toThrow(`INVALID_OPTION: chat: ${text}`);
  });
});
