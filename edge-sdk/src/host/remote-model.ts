import { type Manifest, TandemError } from '@tandem/shared';
import { loadTokenizer, type Tokenizer } from '@tandem/shared/tokenizer';
import type { ChatMessage, ChatRenderer, ChatTemplateOptions } from '../chat/chat-message.js';
import { loadChatTemplate, renderChat } from '../chat/render-chat.js';
import { EventStream } from '../events.js';
import type { LoadOptions, RestoreOptions, SessionOptions } from '../options.js';
import { HostChannel, type SessionEnd } from './host-channel.js';
import type { AskName, HostCall, ModelFacts, SessionFacts } from './host-messages.js';
import { type PortTarget, portOf } from './host-port.js';
import type { AnyModel, AnySession } from './model-api.js';
import { RemoteSession } from './remote-session.js';

/** Options of a model that runs elsewhere. */
export type HostedLoadOptions = Omit<LoadOptions, 'worker'>;

/** See `EdgeModel.connect`. */
export function connectModel(target: PortTarget, source: string, options: HostedLoadOptions = {}): Promise<AnyModel> {
  const { port, onLost } = portOf(target);
  const channel = new HostChannel(port);
  onLost((what) => channel.lost(new TandemError('ENGINE_FAILED', `the process of the model is gone: ${what}`)));
  return openModel(channel, source, options, async () => {});
}

/** `obstacle`: why it does not run where it should; `end`: what ends with the model. */
export async function openModel(
  channel: HostChannel,
  source: string,
  options: HostedLoadOptions & { worker?: string },
  end: () => Promise<void>,
  obstacle?: string,
): Promise<AnyModel> {
  const { signal, onProgress, ...rest } = options;
  // Addresses as objects cannot be cloned.
  const cloneable = Object.fromEntries(
    Object.entries(rest).map(([name, value]) => [name, (value as unknown) instanceof URL ? String(value) : value]),
  );
  const call: HostCall = { call: 'load', source, options: cloneable };
  const facts = await channel.call<ModelFacts>(call, {
    ...(signal ? { signal } : {}),
    ...(onProgress ? { progress: onProgress } : {}),
  });
  return new RemoteModel(channel, facts, await loadChatTemplate(facts.tokenizerFiles), end, obstacle);
}

class RemoteModel implements AnyModel {
  readonly manifest: Manifest;
  readonly format: string;
  readonly #channel: HostChannel;
  readonly #tokenizerJson: Uint8Array;
  readonly #chatTemplate: ChatRenderer | undefined;
  readonly #end: () => Promise<void>;
  readonly #obstacle: string | undefined;
  #tokenizer: Tokenizer | undefined;
  #disposing: Promise<void> | undefined;

  constructor(
    channel: HostChannel,
    facts: ModelFacts,
    chatTemplate: ChatRenderer | undefined,
    end: () => Promise<void>,
    obstacle: string | undefined,
  ) {
    this.#channel = channel;
    this.manifest = facts.manifest;
    this.format = facts.format;
    this.#tokenizerJson = facts.tokenizerFiles['tokenizer.json']!;
    this.#chatTemplate = chatTemplate;
    this.#end = end;
    this.#obstacle = obstacle;
  }

  get backend(): string {
    const { backend } = this.#channel;
    return this.#obstacle === undefined ? backend : `${backend} (${this.#obstacle})`;
  }

  /** Made when somebody asks for it: a large vocabulary takes the app's thread some time, and sessions have their own. */
  get tokenizer(): Tokenizer {
    this.#tokenizer ??= loadTokenizer(this.#tokenizerJson, this.manifest.bosTokenId);
    return this.#tokenizer;
  }

  get hasChatTemplate(): boolean {
    return this.#chatTemplate !== undefined;
  }

  createSession(options: SessionOptions): Promise<AnySession> {
    return this.#open(options, (session, cloneable, asks) => ({ call: 'create', session, options: cloneable, asks }));
  }

  restoreSession(bytes: Uint8Array, options: RestoreOptions = {}): Promise<AnySession> {
    return this.#open(options, (session, cloneable, asks) => ({
      call: 'restore',
      session,
      bytes,
      options: cloneable,
      asks,
    }));
  }

  applyChatTemplate(messages: readonly ChatMessage[], options?: ChatTemplateOptions): string {
    return renderChat(this.#chatTemplate, this.manifest.name, messages, options);
  }

  dispose(): Promise<void> {
    this.#disposing ??= this.#channel
      .call<void>({ call: 'dispose' })
      .catch(() => {})
      .then(() => {
        this.#channel.lost(new TandemError('DISPOSED', 'the model was disposed; load it again'));
        return this.#end();
      });
    return this.#disposing;
  }

  async #open(
    options: SessionOptions | RestoreOptions,
    callOf: (session: number, cloneable: object, asks: AskName[]) => HostCall,
  ): Promise<AnySession> {
    const { cloneable, functions } = split(options);
    const events = new EventStream();
    let session: RemoteSession | undefined;
    const end: SessionEnd = {
      event: (event) => session?.heard(event),
      ask: async (name) => await functions[name]?.(),
    };
    const number = this.#channel.openSession(end);
    try {
      const call = callOf(number, cloneable, Object.keys(functions) as AskName[]);
      session = new RemoteSession(this.#channel, number, events, await this.#channel.call<SessionFacts>(call));
      return session;
    } catch (error) {
      this.#channel.closeSession(number);
      throw error;
    }
  }
}

/** @throws TandemError INVALID_OPTION for functions that only work where the session runs */
function split({ cloud, policy, ...rest }: SessionOptions | RestoreOptions): {
  cloneable: object;
  functions: Partial<Record<AskName, () => unknown>>;
} {
  const here = policy !== undefined ? 'policy' : cloud?.wrapTransport ? 'cloud.wrapTransport' : undefined;
  if (here) {
    const message = `${here}: a function cannot cross to the worker of the model; load it with worker: false, or leave the option out`;
    throw new TandemError('INVALID_OPTION', message);
  }
  if (!cloud) return { cloneable: rest, functions: {} };
  const { url, token, ...others } = cloud;
  const functions: Partial<Record<AskName, () => unknown>> = {
    ...(typeof url === 'function' ? { url } : {}),
    ...(typeof token === 'function' ? { token } : {}),
  };
  const plain = {
    ...others,
    ...(typeof url === 'function' ? {} : { url }),
    ...(typeof token === 'function' || token === undefined ? {} : { token }),
  };
  return { cloneable: { ...rest, cloud: plain }, functions };
}
