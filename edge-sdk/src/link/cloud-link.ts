import {
  type Clock,
  type Connect,
  decodeMessage,
  type ErrorCode,
  encodeMessage,
  type Message,
  type Messages,
  type Random,
  TandemError,
  type Transport,
} from '@tandem/shared';
import * as limits from '@tandem/shared/limits';

/**
 * `unavailable`: so many attempts failed in a row that the session should decide what to do; the link goes on trying.
 * `failed`: trying again cannot help (wrong model, bad credential).
 */
export type LinkState = 'idle' | 'connecting' | 'open' | 'unavailable' | 'failed' | 'closed';

export interface LinkHandlers {
  /** Built anew for every connection, since it carries the current epoch. */
  openMessage(): Messages['session-open'];
  /** The server knows the session; from now on messages flow. */
  opened(answer: Messages['session-opened']): void;
  message(message: Message): void;
  stateChanged(state: LinkState, error?: TandemError): void;
}

export interface LinkOptions {
  /** Makes one attempt's transport; asked anew each time, so that a fresh credential can be minted. */
  connect: () => Promise<Connect>;
  /** A link that has not been open for so long is `unavailable`, however many attempts were made. */
  unavailableAfterMs: number;
  clock: Clock;
  random: Random;
  handlers: LinkHandlers;
}

/** What `decodeMessage` throws: a flipped bit in a length reads as a frame that is too large. */
const DAMAGED: ReadonlySet<ErrorCode> = new Set(['MALFORMED_FRAME', 'FRAME_TOO_LARGE']);

/**
 * The connection of one session, kept up: connect, `session-open`, reconnect with full jitter. The first try after a
 * loss is immediate. Knows frames and states, nothing of ledgers.
 */
export class CloudLink {
  readonly #options: LinkOptions;
  #state: LinkState = 'idle';
  #transport: Transport | undefined;
  #failures = 0;
  /** Handshakes in a row that were answered with what would be final. */
  #refusals = 0;
  #openedAtMs = 0;
  /** Whether this connection has brought more than its opening. */
  #hasServed = false;
  /** Raised with every attempt, so that a late event of an old transport is told from the current one's. */
  #attempt = 0;
  #cancelTimer: (() => void) | undefined;
  #cancelOutageTimer: (() => void) | undefined;
  #lastError: TandemError | undefined;
  readonly transfer = { bytesUp: 0, bytesDown: 0, connections: 0 };

  constructor(options: LinkOptions) {
    this.#options = options;
  }

  get state(): LinkState {
    return this.#state;
  }

  get lastError(): TandemError | undefined {
    return this.#lastError;
  }

  /** That wait in the transport. */
  get queuedBytes(): number {
    return this.#transport?.bufferedBytes ?? 0;
  }

  start(): void {
    if (this.#state !== 'idle') return;
    this.#watchOutage();
    this.#connect();
  }

  /** Dropped silently unless open: what matters is sent again after the next `session-opened`. */
  send<Kind extends keyof Messages>(kind: Kind, control: Messages[Kind], payload?: Uint8Array): void {
    if (!this.#transport) return;
    const frame = encodeMessage(kind, control, payload);
    this.transfer.bytesUp += frame.length;
    this.#transport.send(frame);
  }

  /** Gives up on a connection that looks open but is silent, and makes a new one. */
  reconnect(): void {
    if (this.#state === 'open' || this.#state === 'connecting') this.#lost(undefined);
  }

  /**
   * Somebody knows better than the delays between attempts: the network is back (then an open connection has outlived
   * it: `lost`), or the app was frozen and what looks open may be dead (`any`). No failure, so the delays begin anew.
   */
  renew(which: 'any' | 'lost'): void {
    if (this.#state === 'idle' || this.#state === 'closed' || this.#state === 'failed') return;
    const isOpen = this.#state === 'open';
    if (isOpen && which === 'lost') return;
    this.#failures = 0;
    this.#release();
    if (isOpen) this.#watchOutage();
    this.#connect();
  }

  close(): void {
    if (this.#state === 'closed') return;
    if (this.#state === 'open') this.send('session-close', {});
    this.#cancelOutageTimer?.();
    this.#release();
    this.#setState('closed');
  }

  #connect(): void {
    const attempt = ++this.#attempt;
    // An unavailable link stays so until it is open again: background attempts are nobody's business.
    if (this.#state !== 'unavailable') this.#setState('connecting');
    this.#cancelTimer = this.#options.clock.schedule(limits.CONNECT_TIMEOUT_MS, () => this.#lost(undefined));
    this.#options.connect().then(
      (connect) => {
        if (attempt === this.#attempt && this.#state !== 'closed') this.#dial(connect, attempt);
      },
      (cause) => {
        if (attempt !== this.#attempt) return;
        const message = 'cloud.token threw; it must return a credential';
        this.#fail(cause instanceof TandemError ? cause : new TandemError('UNAUTHORIZED', message, { cause }));
      },
    );
  }

  #dial(connect: Connect, attempt: number): void {
    const current = () => attempt === this.#attempt;
    this.transfer.connections++;
    try {
      this.#transport = connect({
        opened: () => {
          if (current()) this.send('session-open', this.#options.handlers.openMessage());
        },
        received: (frame) => {
          if (current()) this.#received(frame);
        },
        closed: ({ error }) => {
          if (current()) this.#lost(error && this.#asHeard(error));
        },
      });
    } catch (cause) {
      this.#fail(new TandemError('INVALID_OPTION', 'cloud.url or cloud.wrapTransport: connecting threw', { cause }));
    }
  }

  /**
   * HTTP has no checksum: a bit that flips in a handshake reads as a wrong path or credential. What would be final is
   * asked again until it was heard often enough in a row; a credential is minted anew each time.
   */
  #asHeard(error: TandemError): TandemError {
    this.#refusals = error.retryable ? 0 : this.#refusals + 1;
    if (error.retryable || this.#refusals >= limits.HANDSHAKE_REFUSALS_MAX) return error;
    return new TandemError('CLOUD_UNAVAILABLE', error.message, { cause: error });
  }

  #received(frame: Uint8Array): void {
    this.transfer.bytesDown += frame.length;
    try {
      this.#handle(decodeMessage(frame));
    } catch (error) {
      if (!(error instanceof TandemError)) throw error;
      // A damaged frame says nothing about the next connection: start over rather than give up.
      if (DAMAGED.has(error.code)) this.#lost(error);
      else this.#fail(error);
    }
  }

  #handle(message: Message): void {
    switch (message.kind) {
      case 'session-opened':
        this.#cancelTimer?.();
        this.#cancelOutageTimer?.();
        this.#openedAtMs = this.#options.clock.now();
        this.#refusals = 0;
        this.#hasServed = false;
        this.#lastError = undefined;
        this.#setState('open');
        return this.#options.handlers.opened(message.control);
      case 'error': {
        const { code, message: text, retryAfterMs } = message.control;
        const error = new TandemError(code, text.startsWith(`${code}: `) ? text.slice(code.length + 2) : text);
        // Also for a frame that was damaged on its way up, which the server cannot know from a wrong client.
        return this.#lost(error, retryAfterMs);
      }
      case 'drain':
        return this.#moveWithin(message.control.deadlineMs);
      case 'ping':
        return this.send('pong', message.control);
      default:
        this.#hasServed = true;
        return this.#options.handlers.message(message);
    }
  }

  /**
   * The server stops, and serves until its clients have moved: each at a moment of its own, so that whoever takes over
   * is not stormed. The server asks for it, so this is no failure.
   */
  #moveWithin(deadlineMs: number): void {
    if (this.#state !== 'open') return;
    const delayMs = Math.min(deadlineMs, limits.STOP_GRACE_MS) * this.#options.random.next();
    this.#cancelTimer = this.#options.clock.schedule(delayMs, () => {
      this.#failures = 0;
      this.#lost(undefined);
    });
  }

  /**
   * A connection is gone, or did not come: try again at once the first time, then with growing, jittered delays, and
   * not before the server wants to be asked. One that neither lasted nor brought an answer counts as a failure: a server
   * that opens sessions and drops them must not be stormed. One that did is cut by its link, and waiting longer after each
   * cut would only lengthen the outage.
   */
  #lost(error: TandemError | undefined, retryAfterMs = 0): void {
    if (this.#state === 'closed' || this.#state === 'failed') return;
    if (error && !error.retryable && !DAMAGED.has(error.code)) return this.#fail(error);
    const wasOpen = this.#state === 'open';
    this.#release();
    this.#lastError = error ?? this.#lastError;
    if (wasOpen) this.#watchOutage();
    const hasLasted = this.#options.clock.now() - this.#openedAtMs >= limits.LINK_STABLE_MS;
    const wasSound = wasOpen && (hasLasted || this.#hasServed);
    if (wasSound) this.#failures = 0;
    const delayMs = wasOpen && this.#failures === 0 ? 0 : this.#backOffMs();
    if (!wasSound) this.#failures++;
    if (this.#failures >= limits.RECONNECT_ATTEMPTS_MAX) this.#setState('unavailable', this.#lastError);
    else if (this.#state !== 'unavailable') this.#setState('connecting');
    this.#cancelTimer = this.#options.clock.schedule(Math.max(delayMs, retryAfterMs), () => this.#connect());
  }

  /** Attempts that hang are no better than attempts that fail: after a while the session has to know. */
  #watchOutage(): void {
    const { clock, unavailableAfterMs } = this.#options;
    this.#cancelOutageTimer?.();
    this.#cancelOutageTimer = clock.schedule(unavailableAfterMs, () => {
      if (this.#state === 'connecting') this.#setState('unavailable', this.#lastError);
    });
  }

  #backOffMs(): number {
    const ceiling = limits.RECONNECT_DELAY_MS_MIN * 2 ** Math.min(this.#failures + 1, 16);
    return Math.min(ceiling, limits.RECONNECT_DELAY_MS_MAX) * this.#options.random.next();
  }

  #fail(error: TandemError): void {
    this.#cancelOutageTimer?.();
    this.#release();
    this.#lastError = error;
    this.#setState('failed', error);
  }

  #release(): void {
    this.#attempt++;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#transport?.close();
    this.#transport = undefined;
  }

  #setState(state: LinkState, error?: TandemError): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#options.handlers.stateChanged(state, error);
  }
}
