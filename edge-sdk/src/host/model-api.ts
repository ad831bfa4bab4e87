import type { Manifest, RowCodecName } from '@tandem/shared';
import type { Tokenizer } from '@tandem/shared/tokenizer';
import type { Observable } from 'rxjs';
import type { ChatMessage, ChatTemplateOptions } from '../chat/chat-message.js';
import type { ConnectionState, SessionEvent } from '../events.js';
import type { LinkState } from '../link/cloud-link.js';
import type { GenerateOptions, RestoreOptions, SessionOptions } from '../options.js';
import type { Generation } from '../session/generation.js';

/** What an app has of a model, wherever it runs: an `EdgeModel`, or one in a worker or another process. */
export interface AnyModel {
  readonly manifest: Manifest;
  readonly tokenizer: Tokenizer;
  readonly backend: string;
  readonly format: string;
  readonly hasChatTemplate: boolean;
  createSession(options: SessionOptions): Promise<AnySession>;
  restoreSession(bytes: Uint8Array, options?: RestoreOptions): Promise<AnySession>;
  applyChatTemplate(messages: readonly ChatMessage[], options?: ChatTemplateOptions): string;
  dispose(): Promise<void>;
}

/** What an app has of a session, wherever it runs. */
export interface AnySession {
  readonly events$: Observable<SessionEvent>;
  readonly connection$: Observable<ConnectionState>;
  readonly connection: LinkState;
  readonly policy: { readonly name: string };
  readonly codec: RowCodecName;
  generate(prompt: string, options?: GenerateOptions): Generation;
  chat(messages: readonly ChatMessage[], options?: GenerateOptions): Generation;
  continue(options?: { signal?: AbortSignal }): Generation;
  save(): Promise<Uint8Array>;
  reconnect(): void;
  dispose(): Promise<void>;
}
