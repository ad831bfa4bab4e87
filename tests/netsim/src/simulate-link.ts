import { type Connect, TandemError, type Transport, type TransportHandlers } from '@tandem/shared';
import { DelayLine } from './delay-line.js';
import { Link, type LinkOptions, type LinkStats } from './link.js';
import type { Direction, LinkProfile } from './link-profile.js';

/** What the wrapped transport is closed with: only the receiver of a broken connection may use 1006 (RFC 6455, 7.4.1). */
export const CUT_CLOSE_CODE = 4006;

/** When the far end of a half-open connection is told: two rounds of a server's keepalive. */
export const HALF_OPEN_NOTICED_MS = 60_000;

export interface SimulateLinkOptions extends LinkOptions {
  /**
   * Round trips before `opened`. Default 2: one for TCP, one for the WebSocket upgrade. TLS 1.3 makes it 3.
   */
  handshakeRoundTrips?: number;
}

export interface SimulatedLink {
  /** The wrapped connect. All its connections share one link. */
  readonly connect: Connect;
  readonly stats: Readonly<LinkStats>;
  /** Breaks all connections now. The client hears 1006 with `CLOUD_UNAVAILABLE`; what is under way is lost. */
  cut(): void;
  /**
   * Half-open: from now on the open connections swallow everything, and nobody is told. The far end notices after
   * HALF_OPEN_NOTICED_MS, as from a keepalive; the client never, unless it closes. New connections are sound.
   */
  silence(): void;
  /** Flips one bit of the next frame that arrives in `direction`. */
  flipNext(direction: Direction): void;
  /** Nothing moves for `durationMs`. */
  stall(durationMs: number): void;
  /** Goes on as another link. Its scheduled stalls and cuts start now. */
  setProfile(profile: LinkProfile): void;
}

/**
 * Puts a link with the given profile in front of any `Connect`, in process.
 * Throws `INVALID_OPTION` if the profile has unknown keys or values that are not allowed.
 */
export function simulateLink(
  connect: Connect,
  profile: LinkProfile,
  { handshakeRoundTrips = 2, ...options }: SimulateLinkOptions = {},
): SimulatedLink {
  const link = new Link(profile, options);
  return {
    connect: (handlers) => {
      if (!link.admits()) return refusedTransport(link, handlers);
      return new LinkedTransport(link, connect, handlers, handshakeRoundTrips * link.profile.rttMs);
    },
    stats: link.stats,
    cut: () => link.cut(),
    silence: () => link.silence(),
    flipNext: (direction) => link.flipNext(direction),
    stall: (durationMs) => link.stall(durationMs),
    setProfile: (next) => link.setProfile(next),
  };
}

/** A refusal takes one round trip. */
function refusedTransport(link: Link, handlers: TransportHandlers): Transport {
  const error = new TandemError('CLOUD_UNAVAILABLE', 'the simulated link refuses connections; try again later');
  link.clock.schedule(link.profile.rttMs, () => handlers.closed({ code: 1006, text: 'refused', error }));
  return { bufferedBytes: 0, send() {}, close() {} };
}

type Report = () => void;

/** One connection over the link: a delay line up, one down, and the wrapped transport at the far end. */
class LinkedTransport implements Transport {
  readonly #link: Link;
  readonly #handlers: TransportHandlers;
  readonly #inner: Transport;
  readonly #up: DelayLine<Report>;
  readonly #down: DelayLine<Report>;
  readonly #ended: () => void;
  #state: 'opening' | 'open' | 'closing' | 'closed' = 'opening';
  #isSilent = false;

  constructor(link: Link, connect: Connect, handlers: TransportHandlers, handshakeMs: number) {
    this.#link = link;
    this.#handlers = handlers;
    this.#up = new DelayLine(link.clock, link.model, (report) => report());
    this.#down = new DelayLine(link.clock, link.model, (report) => report());
    this.#ended = link.opened({ drop: () => this.#cut(), silence: () => this.#silence() });
    const openMs = link.clock.now() + handshakeMs;
    this.#inner = connect({
      opened: () => this.#innerOpened(openMs),
      received: (frame) => this.#pass('down', frame, (arrived) => this.#handlers.received(arrived)),
      closed: (reason) => this.#enqueue('down', 0, () => this.#closed(reason)),
    });
  }

  get bufferedBytes(): number {
    return this.#up.waitingBytes(this.#link.clock.now()) + this.#inner.bufferedBytes;
  }

  send(frame: Uint8Array): void {
    if (this.#state === 'open') this.#pass('up', frame, (arrived) => this.#inner.send(arrived));
  }

  /** The close frame queues behind what was sent before; `closed` comes back a round trip later. */
  close(code?: number, text?: string): void {
    if (this.#state !== 'opening' && this.#state !== 'open') return;
    this.#state = 'closing';
    this.#enqueue('up', 0, () => this.#inner.close(code, text));
  }

  #innerOpened(openMs: number): void {
    const atMs = this.#link.model.movesFromMs(Math.max(openMs, this.#link.clock.now()));
    // In the line, so that no frame of the server overtakes it.
    this.#down.push(() => this.#opened(), 0, { departMs: atMs, arriveMs: atMs });
  }

  #opened(): void {
    if (this.#state !== 'opening') return;
    this.#state = 'open';
    this.#handlers.opened();
  }

  #closed(reason: Parameters<TransportHandlers['closed']>[0]): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#ended();
    this.#handlers.closed(reason);
  }

  #pass(direction: Direction, frame: Uint8Array, deliver: (arrived: Uint8Array) => void): void {
    const arrive = () =>
      this.#link.pass(direction, frame.byteLength, (passedBytes) => {
        if (passedBytes === frame.byteLength) deliver(this.#link.asReceived(direction, frame));
      });
    this.#enqueue(direction, frame.byteLength, arrive);
  }

  #enqueue(direction: Direction, bytes: number, report: Report): void {
    if (this.#state === 'closed' || this.#isSilent) return;
    const line = direction === 'up' ? this.#up : this.#down;
    line.push(report, bytes, this.#link.model.plan(direction, bytes, this.#link.clock.now()));
  }

  #silence(): void {
    if (this.#isSilent || this.#state === 'closed') return;
    this.#isSilent = true;
    this.#up.clear();
    this.#down.clear();
    this.#link.clock.schedule(HALF_OPEN_NOTICED_MS, () => {
      this.#inner.close(CUT_CLOSE_CODE, 'half-open');
      if (this.#state === 'closing') this.#closed({ code: 1006, text: 'half-open' });
    });
  }

  #cut(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#up.clear();
    this.#down.clear();
    this.#inner.close(CUT_CLOSE_CODE, 'link cut');
    const error = new TandemError('CLOUD_UNAVAILABLE', 'the simulated link was cut; connect again');
    this.#link.clock.schedule(0, () => this.#handlers.closed({ code: 1006, text: 'link cut', error }));
  }
}
