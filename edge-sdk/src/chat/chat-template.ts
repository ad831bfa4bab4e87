import { TandemError } from '@tandem/shared';
import { list, text } from '@tandem/shared/schema';
import * as z from 'zod/mini';
import { BoundedTemplate, TemplateLimitError } from './bounded-template.js';
import type { ChatMessage, ChatRenderer, ChatTemplateOptions } from './chat-message.js';

const MESSAGES_MAX = 4_096;

const messagesSchema = list(z.strictObject({ role: text(64, 1), content: z.string() }), MESSAGES_MAX, 1);

/** `tokenizer_config.json`, as far as a conversation needs it. Older files name several templates; `default` counts. */
const configSchema = z.looseObject({
  chat_template: z.nullish(z.union([z.string(), list(z.looseObject({ name: z.string(), template: z.string() }), 64)])),
});

/** How a model wants conversations written. */
export class ChatTemplate implements ChatRenderer {
  readonly #template: BoundedTemplate;
  readonly #specialTokens: Record<string, string>;

  /** @throws TandemError BUNDLE_CORRUPT for a template that is no Jinja, or too long for one */
  constructor(source: string, specialTokens: Record<string, string>) {
    this.#specialTokens = specialTokens;
    try {
      this.#template = new BoundedTemplate(source);
    } catch (cause) {
      if (cause instanceof TemplateLimitError) throw unbounded(cause);
      throw new TandemError('BUNDLE_CORRUPT', 'the chat template cannot be read; prepare the bundle again', { cause });
    }
  }

  /**
   * @throws TandemError INVALID_OPTION for messages that are none, or that the template refuses (roles out of turn);
   *   BUNDLE_CORRUPT for a template that would go on for ever, or take all memory
   */
  render(messages: readonly ChatMessage[], { addGenerationPrompt = true }: ChatTemplateOptions = {}): string {
    const parsed = messagesSchema.safeParse(messages);
    if (!parsed.success) {
      const [issue] = parsed.error.issues;
      const message = `chat: messages.${issue?.path.join('.')}: ${issue?.message}; give a list of { role, content }`;
      throw new TandemError('INVALID_OPTION', message);
    }
    const values = { add_generation_prompt: addGenerationPrompt, ...this.#specialTokens };
    try {
      return this.#template.render(parsed.data, values);
    } catch (cause) {
      // A RangeError: macros that call themselves until the stack ends, or a text longer than texts can be.
      if (cause instanceof TemplateLimitError || cause instanceof RangeError) throw unbounded(cause);
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new TandemError('INVALID_OPTION', `chat: the model's template refuses these messages: ${reason}`, {
        cause,
      });
    }
  }
}

function unbounded(cause: Error): TandemError {
  const message = `the model's chat template takes more than a conversation needs: ${cause.message}; use generate with a prompt of your own`;
  return new TandemError('BUNDLE_CORRUPT', message, { cause });
}

/**
 * The chat template of a bundle, from its tokenizer files: `chat_template.jinja`, or a field of `tokenizer_config.json`.
 * Undefined for a model that was not made for conversations.
 *
 * @throws TandemError BUNDLE_CORRUPT
 */
export function readChatTemplate(files: { config?: Uint8Array; jinja?: Uint8Array }): ChatTemplate | undefined {
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  const config: unknown = files.config === undefined ? {} : parseJson(decode(files.config));
  const source = files.jinja === undefined ? templateOf(config) : decode(files.jinja);
  return source === undefined ? undefined : new ChatTemplate(source, specialTokensOf(config));
}

function templateOf(config: unknown): string | undefined {
  const template = configSchema.safeParse(config).data?.chat_template;
  if (typeof template !== 'object') return template;
  return template?.find(({ name }) => name === 'default')?.template;
}

/** `bos_token`, `eos_token` and their like: text, or an object with `content`. */
function specialTokensOf(config: unknown): Record<string, string> {
  const entries = Object.entries(config as object).filter(([key]) => key.endsWith('_token'));
  const texts = entries.map(([key, value]) => [key, typeof value === 'string' ? value : value?.content] as const);
  return Object.fromEntries(texts.filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
}

function parseJson(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value;
  } catch {
    // Told below, like any other text that is no object.
  }
  throw new TandemError('BUNDLE_CORRUPT', 'tokenizer_config.json is not a JSON object; prepare the bundle again');
}
