import {
  defaultCodec,
  type Engine,
  type Manifest,
  newId,
  prefixBlocks,
  systemClock,
  systemRandom,
  TandemError,
} from '@tandem/shared';
import { loadTokenizer, type Tokenizer } from '@tandem/shared/tokenizer';
import type { ChatMessage, ChatRenderer, ChatTemplateOptions } from './chat/chat-message.js';
import { loadChatTemplate, renderChat } from './chat/render-chat.js';
import { Acceptance } from './control/acceptance.js';
import { sessionPolicy } from './exit/session-policy.js';
import type { AnyModel } from './host/model-api.js';
import type { Ledger } from './ledger/ledger.js';
import { SharedPrefix } from './link/shared-prefix.js';
import {
  type ParsedSessionOptions,
  parseOptions,
  type RestoreOptions,
  restoreOptionsSchema,
  type SessionOptions,
  sessionOptionsSchema,
} from './options.js';
import type { DeviceModel } from './platform.js';
import { kernelFingerprint } from './session/kernel-fingerprint.js';
import type { LastGeneration } from './session/last-generation.js';
import { PrefixCache } from './session/prefix-cache.js';
import { Session } from './session/session.js';

/** A model that runs here, once it is opened. What an app calls is `EdgeModel`, which knows how to get one. */
export class LocalModel implements AnyModel {
  readonly manifest: Manifest;
  readonly tokenizer: Tokenizer;
  /** Weight format of the device stages. */
  readonly format: string;
  readonly #chatTemplate: ChatRenderer | undefined;
  readonly #device: DeviceModel;
  readonly #engine: Engine;
  readonly #sessions = new Set<Session>();
  readonly #prefixes: PrefixCache;
  readonly #acceptance = new Acceptance();
  /** Of one backend; made when the first session shares its beginning. */
  #kernels: { backend: string; fingerprint: Promise<Uint8Array> } | undefined;
  readonly #obstacle: string | undefined;
  #isDisposed = false;

  private constructor(device: DeviceModel, text: TextSide, obstacle: string | undefined) {
    const { manifest, engine } = device;
    this.#device = device;
    this.#obstacle = obstacle;
    this.manifest = manifest;
    this.tokenizer = text.tokenizer;
    this.#chatTemplate = text.chatTemplate;
    this.#engine = engine;
    this.#prefixes = new PrefixCache(engine);
    this.format = engine.info.format;
  }

  /** What the device stages run on and, where there was a choice, why. Another one once a GPU was lost. */
  get backend(): string {
    const { backend } = this.#device;
    return this.#obstacle === undefined ? backend : `${backend} (${this.#obstacle})`;
  }

  /** `obstacle`: why it runs on the caller's thread, where it was to run in a worker. */
  static async of(opened: DeviceModel, obstacle?: string): Promise<LocalModel> {
    return new LocalModel(opened, await readTextSide(opened), obstacle);
  }

  /**
   * Opens a session and begins to connect; does not wait for the server.
   *
   * Codes: INVALID_OPTION, CONTEXT_TOO_LONG, DISPOSED.
   */
  async createSession(options: SessionOptions): Promise<Session> {
    return await this.#openSession(parseOptions(sessionOptionsSchema, 'createSession', options));
  }

  /**
   * Makes a session of what `session.save()` returned, here or elsewhere: same text, same rules. `session.continue()` goes
   * on where it stood, without a word of difference on the same kind of processor. The device runs the text once, to have
   * its caches again, and sends its rows to the server, which takes this for a new session: bytes may be restored twice.
   *
   * Codes: SAVE_CORRUPT, SAVE_UNSUPPORTED, MODEL_MISMATCH, INVALID_OPTION, CONTEXT_TOO_LONG, DISPOSED.
   */
  async restoreSession(bytes: Uint8Array, options: RestoreOptions = {}): Promise<Session> {
    const given = parseOptions(restoreOptionsSchema, 'restoreSession', options);
    // Loaded by those who restore.
    const { checkModel, checkPolicy, readSavedSession, restoreText } = await import('./session/restore-session.js');
    const saved = readSavedSession(bytes);
    checkModel(saved, this.manifest, this.format);
    const parsed = parseOptions(sessionOptionsSchema, 'restoreSession', { ...saved.options, ...given });
    checkPolicy(saved, sessionPolicy(parsed, this.manifest, this.format).name);
    return await this.#openSession(parsed, (ledger) => restoreText(ledger, saved));
  }

  async #openSession(
    parsed: ParsedSessionOptions,
    restore?: (ledger: Ledger) => LastGeneration | undefined,
  ): Promise<Session> {
    if (this.#isDisposed) throw new TandemError('DISPOSED', 'the model was disposed; load it again');
    this.#checkCapacity(parsed);
    // Refused before anything is opened.
    sessionPolicy(parsed, this.manifest, this.format);
    const sessionId = newId();
    const { sharedPrefix, codec = defaultCodec(this.manifest.width), capacity = this.manifest.contextLength } = parsed;
    const shared = sharedPrefix === undefined ? undefined : this.tokenizer.encode(sharedPrefix);
    if (parsed.mode !== 'cloud-only') {
      await this.#engine.open({
        session: sessionId,
        firstStage: 0,
        endStage: this.#engine.info.deviceStages,
        capacity,
        codec,
      });
    }
    const session = new Session(
      {
        manifest: this.manifest,
        engine: this.#engine,
        tokenizer: this.tokenizer,
        chatTemplate: this.#chatTemplate,
        sessionId,
        prefix: shared && (await this.#prefixOf(shared, parsed.mode)),
        // Device stages run a shared prefix once.
        prefilled:
          shared && parsed.mode !== 'cloud-only' && shared.length < capacity
            ? await this.#prefixes.prime(sessionId, shared, codec)
            : undefined,
        restore,
        acceptance: this.#acceptance,
        clock: systemClock,
        random: systemRandom,
        onDisposed: () => this.#sessions.delete(session),
      },
      this.#device.sharesKernels || parsed.promptAs !== 'auto'
        ? parsed
        : // A choice that follows the link must not change the text.
          { ...parsed, promptAs: 'rows' },
    );
    this.#sessions.add(session);
    return session;
  }

  /** Whether the model was made for conversations: `session.chat` needs it; others continue texts. */
  get hasChatTemplate(): boolean {
    return this.#chatTemplate !== undefined;
  }

  /**
   * A conversation as the text that the model was trained to read. It has its special tokens in it: `session.chat`
   * takes care of that, `session.generate` would put a first token before it.
   *
   * Codes: INVALID_OPTION for a model without a chat template, for messages that are none or that the template refuses.
   */
  applyChatTemplate(messages: readonly ChatMessage[], options?: ChatTemplateOptions): string {
    return renderChat(this.#chatTemplate, this.manifest.name, messages, options);
  }

  /** Disposes all sessions, then the engine. */
  async dispose(): Promise<void> {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    await Promise.all([...this.#sessions].map((session) => session.dispose()));
    await this.#engine.dispose();
  }

  async #prefixOf(tokens: number[], mode: ParsedSessionOptions['mode']): Promise<SharedPrefix | undefined> {
    if (mode === 'device-only') return undefined;
    if (mode === 'cloud-only') return new SharedPrefix(await prefixBlocks(tokens), tokens);
    if (this.#kernels?.backend !== this.backend)
      this.#kernels = { backend: this.backend, fingerprint: kernelFingerprint(this.#engine) };
    return new SharedPrefix(await prefixBlocks(tokens, await this.#kernels.fingerprint), tokens);
  }

  #checkCapacity({ capacity }: ParsedSessionOptions): void {
    if (capacity !== undefined && capacity > this.manifest.contextLength) {
      throw new TandemError(
        'CONTEXT_TOO_LONG',
        `createSession: capacity ${capacity}, the model's context is ${this.manifest.contextLength}`,
      );
    }
  }
}

/** What turns text into tokens. */
interface TextSide {
  tokenizer: Tokenizer;
  chatTemplate: ChatRenderer | undefined;
}

async function readTextSide({ manifest, tokenizerFiles }: DeviceModel): Promise<TextSide> {
  const { 'tokenizer.json': json } = tokenizerFiles;
  if (!json) throw new TandemError('BUNDLE_CORRUPT', 'the bundle lists no tokenizer.json; prepare the bundle again');
  const tokenizer = loadTokenizer(json, manifest.bosTokenId);
  return { tokenizer, chatTemplate: await loadChatTemplate(tokenizerFiles) };
}
