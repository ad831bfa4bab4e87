import { TandemError } from '@tandem/shared';
import type { ChatMessage, ChatRenderer, ChatTemplateOptions } from './chat-message.js';

/**
 * The chat template among a bundle's tokenizer files, if there is one. A template engine is loaded only where a template may be.
 *
 * @throws TandemError BUNDLE_CORRUPT
 */
export async function loadChatTemplate(files: Record<string, Uint8Array>): Promise<ChatRenderer | undefined> {
  const { 'tokenizer_config.json': config, 'chat_template.jinja': jinja } = files;
  if (!config && !jinja) return undefined;
  const { readChatTemplate } = await import('./chat-template.js');
  return readChatTemplate({ config, jinja });
}

/** @throws TandemError INVALID_OPTION, also for a model that has no chat template */
export function renderChat(
  template: ChatRenderer | undefined,
  model: string,
  messages: readonly ChatMessage[],
  options?: ChatTemplateOptions,
): string {
  if (template !== undefined) return template.render(messages, options);
  const message = `chat: ${model} has no chat template; use generate with a prompt of your own`;
  throw new TandemError('INVALID_OPTION', message);
}
