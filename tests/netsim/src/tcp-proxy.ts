import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { TandemError } from '@tandem/shared';
import type { FrameCut } from './frame-watch.js';
import { Link, type LinkOptions, type LinkStats } from './link.js';
import type { Direction, LinkProfile } from './link-profile.js';
import { joinSockets, reset } from './proxy-connection.js';

export interface ProxyOptions extends LinkOptions {
  target: { host: string; port: number };
  profile: LinkProfile;
  /** Default: a free port of 127.0.0.1. */
  listen?: { host?: string; port?: number };
  /** Bytes held per connection and direction before the sender is paused. Default 262,144. */
  highWaterMarkBytes?: number;
}

export interface LinkProxy {
  readonly host: string;
  readonly port: number;
  readonly stats: Readonly<LinkStats>;
  /** Resets (RST) all connections now, on both sides; what is under way is lost. */
  cut(): void;
  /** Half-open: the open connections swallow everything and stay open; nobody is told. New ones are sound. */
  silence(): void;
  /** Ends all connections with FIN on both sides, in the middle of whatever they say. */
  finish(): void;
  /** The next bytes in `direction` arrive in slices of `bytesMax` at most. */
  sliceNext(direction: Direction, bytesMax: number): void;
  /** The next message of `cut.kind` in `direction` is cut off in its midst: some of its bytes arrive, then a reset. */
  cutInFrame(direction: Direction, cut: FrameCut): void;
  /** Flips one bit of the next bytes that arrive in `direction`, behind the HTTP headers: those have no checksum. */
  flipNext(direction: Direction): void;
  /** Nothing moves for `durationMs`; connections stay open. */
  stall(durationMs: number): void;
  /** Goes on as another link. Its scheduled stalls and cuts start now. */
  setProfile(profile: LinkProfile): void;
  /** Resets what is open and frees the port. No handle is left. */
  close(): Promise<void>;
}

/**
 * A TCP proxy with the given profile in front of a real server.
 * Throws `INVALID_OPTION` for a bad profile, also for `afterFrames` (TCP has no frames). Rejects if it cannot listen.
 */
export async function startProxy(options: ProxyOptions): Promise<LinkProxy> {
  const { target, listen = {}, highWaterMarkBytes = 262_144 } = options;
  const link = new Link(withoutFrameCuts(options.profile), options);
  const slicing: Record<Direction, number | undefined> = { up: undefined, down: undefined };
  const frameCuts: Record<Direction, FrameCut | undefined> = { up: undefined, down: undefined };
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    ignoreErrors(client);
    if (!link.admits()) return reset(client);
    const remote = connect({ ...target, allowHalfOpen: true, noDelay: true });
    ignoreErrors(remote);
    joinSockets(link, client, remote, { highWaterMarkBytes, slicing, frameCuts });
  });
  server.listen({ host: listen.host ?? '127.0.0.1', port: listen.port ?? 0 });
  await once(server, 'listening');
  const { address: host, port } = server.address() as AddressInfo;
  return {
    host,
    port,
    stats: link.stats,
    cut: () => link.cut(),
    silence: () => link.silence(),
    finish: () => link.finish(),
    sliceNext: (direction, bytesMax) => {
      slicing[direction] = bytesMax;
    },
    cutInFrame: (direction, cut) => {
      frameCuts[direction] = cut;
    },
    flipNext: (direction) => link.flipNext(direction),
    stall: (durationMs) => link.stall(durationMs),
    setProfile: (profile) => link.setProfile(withoutFrameCuts(profile)),
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      link.dispose();
      await closed;
    },
  };
}

/** A broken socket is this program's daily bread: `close` follows and is what we act on. */
function ignoreErrors(socket: Socket): void {
  socket.on('error', () => {});
}

function withoutFrameCuts(profile: LinkProfile): LinkProfile {
  if (!profile.cuts?.some((cut) => 'afterFrames' in cut)) return profile;
  throw new TandemError('INVALID_OPTION', 'cuts: afterFrames in a TCP proxy, which sees no frames; use afterBytes');
}
