import type { EnginePort } from '@tandem/shared';
import type { LocalModel } from '../local-model.js';
import {
  type GenerateOptions,
  type LoadOptions,
  loadOptionsSchema,
  type ParsedLoadOptions,
  parseOptions,
  type RestoreOptions,
  type SessionOptions,
} from '../options.js';
import type { Generation } from '../session/generation.js';
import type { Session } from '../session/session.js';
import {
  type AskName,
  type FromHost,
  type HostCall,
  type ModelFacts,
  packError,
  packEvent,
  type SessionFacts,
  type ToHost,
  unpackError,
} from './host-messages.js';
import { type HostedModel, openHostedModel } from './hosted-model.js';

type OpenModel = (source: string, options: ParsedLoadOptions) => Promise<HostedModel>;

/** The other end: runs one model and its sessions for an app behind a port. */
export class ModelHost {
  readonly #port: EnginePort;
  readonly #open: OpenModel;
  #hosted: HostedModel | undefined;
  #hasLeft = false;
  #toldBackend: string | undefined;
  readonly #sessions = new Map<number, Session>();
  /** Of calls that can be aborted. */
  readonly #running = new Map<number, AbortController>();
  readonly #asked = new Map<number, { resolve(value: unknown): void; reject(error: unknown): void }>();
  #asks = 0;

  /** `open`: where the model comes from; by default it is this host's own. */
  constructor(port: EnginePort, open: OpenModel = openHostedModel) {
    this.#port = port;
    this.#open = open;
    port.listen((message) => this.#received(message as ToHost));
  }

  #received(message: ToHost): void {
    if ('abort' in message) {
      const { abort, reason } = message;
      return this.#running.get(abort)?.abort(reason && unpackError(reason));
    }
    if ('answer' in message) {
      const asked = this.#asked.get(message.answer);
      this.#asked.delete(message.answer);
      if (!('error' in message)) return asked?.resolve(message.value);
      const { error } = message;
      return asked?.reject(typeof error === 'string' ? new Error(error) : unpackError(error));
    }
    void this.#perform(message);
  }

  async #perform({ id, ...call }: { id: number } & HostCall): Promise<void> {
    const stop = new AbortController();
    this.#running.set(id, stop);
    try {
      this.#post({ id, result: await this.#run(id, call as HostCall, stop.signal) });
    } catch (error) {
      this.#post({ id, error: packError(error) });
    } finally {
      this.#running.delete(id);
    }
  }

  async #run(id: number, call: HostCall, signal: AbortSignal): Promise<unknown> {
    switch (call.call) {
      case 'load':
        return await this.#load(call.source, { ...call.options, signal });
      case 'create': {
        const options = this.#withAsks(call.options, call.session, call.asks) as SessionOptions;
        return this.#opened(call.session, await this.#loaded.createSession(options));
      }
      case 'restore': {
        const options = this.#withAsks(call.options, call.session, call.asks) as RestoreOptions;
        return this.#opened(call.session, await this.#loaded.restoreSession(call.bytes, options));
      }
      case 'tell':
        return await this.#tell(id, call, signal);
      case 'save':
        return await this.#session(call.session).save();
      case 'reconnect':
        return this.#session(call.session).reconnect();
      case 'dispose-session':
        return await this.#session(call.session).dispose();
      case 'dispose':
        return await this.leave();
    }
  }

  async #load(source: string, options: LoadOptions): Promise<ModelFacts> {
    const onProgress: LoadOptions['onProgress'] = (progress) => this.#post({ progress });
    const parsed = parseOptions(loadOptionsSchema, 'EdgeModel.load', { ...options, onProgress });
    const hosted = await this.#open(source, parsed);
    this.#hosted = hosted;
    if (this.#hasLeft) await this.#release();
    const { manifest, format } = hosted.model;
    return { manifest, format, tokenizerFiles: hosted.tokenizerFiles };
  }

  /** The app is gone, or needs the model no more. */
  async leave(): Promise<void> {
    this.#hasLeft = true;
    await Promise.all([...this.#sessions.values()].map((session) => session.dispose()));
    await this.#release();
  }

  async #release(): Promise<void> {
    const hosted = this.#hosted;
    this.#hosted = undefined;
    await hosted?.release();
  }

  #opened(number: number, session: Session): SessionFacts {
    this.#sessions.set(number, session);
    session.events$.subscribe((event) => this.#post({ session: number, event: packEvent(event) }));
    return { codec: session.codec, policy: session.policy.name, connection: session.connection };
  }

  async #tell(id: number, call: HostCall & { call: 'tell' }, signal: AbortSignal): Promise<unknown> {
    const session = this.#session(call.session);
    const options: GenerateOptions = { ...call.options, signal };
    const generation = start(session, call, options);
    for await (const part of generation) this.#post({ id, part });
    return await generation;
  }

  /** Functions that stayed with the app, as functions that ask it. */
  #withAsks(options: { cloud?: object }, session: number, asks: readonly AskName[]): object {
    if (asks.length === 0) return options;
    const ask = (name: AskName) => () => {
      const number = ++this.#asks;
      return new Promise((resolve, reject) => {
        this.#asked.set(number, { resolve, reject });
        this.#post({ ask: number, session, name });
      });
    };
    return { ...options, cloud: { ...options.cloud, ...Object.fromEntries(asks.map((name) => [name, ask(name)])) } };
  }

  get #loaded(): LocalModel {
    if (!this.#hosted) throw new Error('the first call loads the model');
    return this.#hosted.model;
  }

  #session(number: number): Session {
    const session = this.#sessions.get(number);
    if (!session) throw new Error(`session ${number} was never opened`);
    return session;
  }

  #post(message: FromHost): void {
    const backend = this.#hosted?.model.backend;
    // Told before what was made on it.
    if (backend !== undefined && backend !== this.#toldBackend) this.#port.post({ backend });
    this.#toldBackend = backend ?? this.#toldBackend;
    this.#port.post(message);
  }
}

function start(session: Session, { how, input }: HostCall & { call: 'tell' }, options: GenerateOptions): Generation {
  switch (how) {
    case 'generate':
      return session.generate(input as string, options);
    case 'chat':
      return session.chat(input as Parameters<Session['chat']>[0], options);
    case 'continue':
      return session.continue(options.signal ? { signal: options.signal } : {});
  }
}
