import { bytesPerRow, bytesPerTokenId, defaultCodec, type RowCodecName, TandemError } from '@tandem/shared';
import type { Observable } from 'rxjs';
import { onNetworkBack } from '#platform';
import type { ChatMessage } from '../chat/chat-message.js';
import { renderChat } from '../chat/render-chat.js';
import { Controller } from '../control/controller.js';
import { type ConnectionState, EventStream, type SessionEvent } from '../events.js';
import type { ExitPolicy } from '../exit/exit-policy.js';
import { sessionPolicy } from '../exit/session-policy.js';
import { Ledger } from '../ledger/ledger.js';
import type { CloudPeer } from '../link/cloud-peer.js';
import { type GenerateOptions, generateOptionsSchema, type ParsedSessionOptions, parseOptions } from '../options.js';
import type { DecodeRun } from './decode-loop.js';
import { Drafter } from './drafter.js';
import { Generation } from './generation.js';
import type { LastGeneration } from './last-generation.js';
import type { Prefilled } from './prefix-cache.js';
import { type Prompt, runGeneration } from './run-generation.js';
import { saveSession } from './saved-session.js';
import type { SessionParts } from './session-parts.js';
import { createPeer } from './session-peer.js';

/**
 * A text in the making: its tokens, the device's KV cache, the connection and the cloud's copy of the context.
 * One generation at a time; the next one reuses what its prompt shares with the text so far.
 */
export class Session {
  readonly #parts: SessionParts;
  readonly #options: ParsedSessionOptions;
  readonly #events = new EventStream();
  readonly #ledger: Ledger;
  readonly #drafter: Drafter | undefined;
  readonly #peer: CloudPeer | undefined;
  readonly #controller: Controller;
  readonly #policy: ExitPolicy;
  readonly #lifetime = new AbortController();
  #running: Promise<unknown> | undefined;
  #last: LastGeneration | undefined;
  #ignoreNetwork = () => {};

  /** Use `EdgeModel.createSession` or `EdgeModel.restoreSession`. */
  constructor(parts: SessionParts, options: ParsedSessionOptions) {
    this.#parts = parts;
    this.#options = options;
    const isCloudOnly = options.mode === 'cloud-only';
    const { width, vocabularySize } = parts.manifest;
    this.#ledger = new Ledger(
      isCloudOnly
        ? { kind: 'tokens', vocabularySize }
        : { kind: 'rows', vocabularySize, bytesPerRow: bytesPerRow(this.codec, width) },
    );
    if (parts.prefilled) this.#prime(parts.prefilled);
    this.#last = parts.restore?.(this.#ledger);
    this.#peer = options.mode === 'device-only' ? undefined : this.#createPeer();
    // Who fixes the policy wants its exits, and no others.
    const draftsEarly = (options.policy ?? options.threshold) === undefined;
    this.#controller = new Controller({ ...options, draftsEarly }, parts.acceptance, this.#peer?.meter);
    this.#policy = sessionPolicy(options, parts.manifest, parts.engine.info.format);
    this.#drafter = isCloudOnly ? undefined : this.#createDrafter();
    const peer = this.#peer;
    if (!peer) return;
    peer.start();
    this.#ignoreNetwork = onNetworkBack(() => peer.reconnect('lost'));
  }

  /** The same facts that the result sums up, as they happen. Completes with `dispose`. */
  get events$(): Observable<SessionEvent> {
    return this.#events.observable;
  }

  /** The state of the connection and every change of it. Completes with `dispose`; device-only stays `idle`. */
  get connection$(): Observable<ConnectionState> {
    return this.#events.connection;
  }

  /** What says whether an exit is sure; its name tells the thresholds. */
  get policy(): ExitPolicy {
    return this.#policy;
  }

  /** How rows travel. */
  get codec(): RowCodecName {
    return this.#options.codec ?? defaultCodec(this.#parts.manifest.width);
  }

  /** State of the connection; `idle` in device-only mode. */
  get connection(): CloudPeer['state'] {
    return this.#peer?.state ?? 'idle';
  }

  /**
   * Continues `prompt`. Errors reach whoever iterates or awaits; `error.details.text` is what was settled by then.
   *
   * Codes: INVALID_OPTION, CONTEXT_TOO_LONG, CLOUD_UNAVAILABLE, MODEL_MISMATCH, UNAUTHORIZED, ENGINE_FAILED, ABORTED,
   * DISPOSED.
   */
  generate(prompt: string, options: GenerateOptions = {}): Generation {
    return this.#start('generate', options, () => ({ text: prompt, addSpecialTokens: true }));
  }

  /**
   * Answers the last message of a conversation, written as the model's chat template wants it. The conversation is the
   * caller's: add the answer to it before the next call.
   *
   * ```ts
   * const answer = await session.chat([{ role: 'user', content: 'What is a bundle?' }], { maxOutputTokens: 200 });
   * ```
   *
   * Codes: those of `generate`; INVALID_OPTION also where the model has no chat template or it refuses the messages.
   */
  chat(messages: readonly ChatMessage[], options: GenerateOptions = {}): Generation {
    const { chatTemplate, manifest } = this.#parts;
    return this.#start('chat', options, () => ({
      text: renderChat(chatTemplate, manifest.name, messages),
      addSpecialTokens: false,
    }));
  }

  /**
   * Goes on with the last generation where it was aborted, failed or was saved, with the options that it was begun with.
   * The first part holds everything that was settled before, once more; the result is that of the whole generation, its
   * timings and transfer those of this run.
   *
   * Codes: those of `generate`; INVALID_OPTION also where nothing was left unfinished.
   */
  continue({ signal }: { signal?: AbortSignal } = {}): Generation {
    return this.#start('continue', { ...this.#last?.options, ...(signal ? { signal } : {}) }, () => {
      if (this.#last && !this.#last.isFinished) return undefined;
      const message = 'continue: no generation of this session is unfinished; use generate';
      throw new TandemError('INVALID_OPTION', message);
    });
  }

  /**
   * The session as bytes, at any moment, also in the middle of a generation: `EdgeModel.restoreSession` in this or another
   * process makes a session of them that goes on with the same text. This one goes on undisturbed.
   *
   * They hold the text, as token ids, and neither credentials nor functions. Keep them as you keep the text.
   *
   * Codes: DISPOSED.
   */
  async save(): Promise<Uint8Array> {
    this.#lifetime.signal.throwIfAborted();
    const { manifest, engine } = this.#parts;
    const facts = { manifest, engine, policy: this.#policy.name, options: this.#options, last: this.#last };
    return saveSession(this.#ledger, facts);
  }

  #start(label: string, options: GenerateOptions, makePrompt: () => Prompt | undefined): Generation {
    const stop = new AbortController();
    const abort = () => stop.abort(new TandemError('ABORTED', 'the loop over the parts was left'));
    return new Generation(async (emit) => {
      this.#checkIdle();
      const parsed = parseOptions(generateOptionsSchema, label, options);
      const { signal, ...rules } = parsed;
      const last = { options: rules, isFinished: false };
      const running = runGeneration({
        ...this.#run(AbortSignal.any([stop.signal, this.#lifetime.signal, ...(signal ? [signal] : [])])),
        options: parsed,
        begun: () => {
          this.#last = last;
        },
        prompt: makePrompt(),
        tokenizer: this.#parts.tokenizer,
        manifest: this.#parts.manifest,
        capacity: this.#capacity,
        emit,
      });
      this.#running = running;
      try {
        const result = await running;
        last.isFinished = true;
        return result;
      } finally {
        this.#running = undefined;
      }
    }, abort);
  }

  /**
   * Makes a new connection at once: for an app that was frozen, whose connection may have died unnoticed. Changes no text;
   * a running generation goes on. Browsers do it by themselves when the network is back. Nothing to do in device-only mode.
   */
  reconnect(): void {
    this.#peer?.reconnect('any');
  }

  /** Ends a running generation with DISPOSED, frees the caches on both sides, closes the connection. */
  async dispose(): Promise<void> {
    if (this.#lifetime.signal.aborted) return;
    this.#lifetime.abort(new TandemError('DISPOSED', 'the session was disposed', { details: { text: '' } }));
    await this.#running?.catch(() => {});
    this.#ignoreNetwork();
    this.#peer?.close();
    // The worker may be gone already, and with it everything that is to be freed.
    await this.#parts.engine.close(this.#parts.sessionId).catch(() => {});
    this.#events.complete();
    this.#parts.onDisposed();
  }

  get #capacity(): number {
    return this.#options.capacity ?? this.#parts.manifest.contextLength;
  }

  #run(signal: AbortSignal): Omit<DecodeRun, 'sampling' | 'endLength' | 'eosTokenIds' | 'emitsDrafts' | 'waited'> {
    const { mode, onCloudUnavailable } = this.#options;
    return {
      mode,
      onCloudUnavailable,
      ledger: this.#ledger,
      drafter: this.#drafter,
      peer: this.#peer,
      events: this.#events,
      controller: this.#controller,
      signal,
      nowMs: () => this.#parts.clock.now(),
    };
  }

  #checkIdle(): void {
    this.#lifetime.signal.throwIfAborted();
    if (this.#running) {
      throw new TandemError(
        'INVALID_OPTION',
        'generate: this session is generating; await or abort that first, or create a second session',
      );
    }
  }

  #mayBeTokens(): boolean {
    const { promptAs } = this.#options;
    if (promptAs !== 'auto') return promptAs === 'tokens';
    const { width, vocabularySize } = this.#parts.manifest;
    const savedBytes = bytesPerRow(this.codec, width) - bytesPerTokenId(vocabularySize);
    return this.#controller.tokensPay(savedBytes);
  }

  #createDrafter(): Drafter {
    const { engine, sessionId, clock, manifest } = this.#parts;
    return new Drafter({
      engine,
      sessionId,
      ledger: this.#ledger,
      policy: this.#policy,
      controller: this.#controller,
      events: this.#events,
      clock,
      roundTripMs: () => this.#peer?.meter.roundTripMs,
      hasExit: manifest.stages.slice(0, engine.info.deviceStages).map((stage) => stage.head === 'exit'),
    });
  }

  /** As if a text of these tokens had been told before: what the next prompt shares with it is there. */
  #prime({ tokens, rows }: Prefilled): void {
    this.#ledger.begin(tokens);
    this.#ledger.feed(tokens.length);
    this.#ledger.addRows(0, rows);
  }

  #createPeer(): CloudPeer {
    return createPeer(this.#parts, this.#options, {
      ledger: this.#ledger,
      codec: this.codec,
      capacity: this.#capacity,
      events: this.#events,
      judged: (change, verdict) => this.#controller.judged(change, verdict),
      mayBeTokens: () => this.#mayBeTokens(),
    });
  }
}
