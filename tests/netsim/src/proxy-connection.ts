import type { Socket } from 'node:net';
import { DelayLine } from './delay-line.js';
import { type FrameCut, FrameWatch } from './frame-watch.js';
import type { Link } from './link.js';
import type { Direction } from './link-profile.js';

/**
 * A chunk from the kernel is up to 64 KiB; on a slow link it would arrive in one lump. Slices of this size let it trickle,
 * as packets would, at a tenth of their number.
 */
const SLICE_BYTES = 16_384;

export interface ConnectionOptions {
  /** Bytes under way per direction from which on the sender is not read any more; it is read again at half of it. */
  highWaterMarkBytes: number;
  /** Largest slice that the next chunk is to arrive in, by direction; then it is forgotten. */
  slicing: Record<Direction, number | undefined>;
  /** Cuts to be made inside a message, by direction; made once. */
  frameCuts: Record<Direction, FrameCut | undefined>;
}

/** Joins two sockets over the link. Their error listeners exist before anything is read. */
export function joinSockets(link: Link, client: Socket, target: Socket, options: ConnectionOptions): void {
  // What comes before the TCP handshake would be over has to wait for it; TLS and the upgrade pay in bytes of their own.
  const openMs = link.clock.now() + link.profile.rttMs;
  const pair = { isSilent: false, openMs, ...options };
  const up = forward(link, 'up', client, target, pair);
  const down = forward(link, 'down', target, client, pair);
  const drop = () => {
    up.clear();
    down.clear();
    reset(client);
    reset(target);
  };
  const ended = link.opened({
    drop,
    silence: () => {
      pair.isSilent = true;
      up.clear();
      down.clear();
      // What comes is still read, or the end would never be seen.
      client.resume();
      target.resume();
    },
    finish: () => {
      client.end();
      target.end();
    },
  });
  let open = 2;
  const closed = (hadError: boolean) => {
    open -= 1;
    // Half-open: what happens to one side is no news to the other, which finds out for itself.
    if (hadError && !pair.isSilent) drop();
    if (open === 0) ended();
  };
  client.on('close', closed);
  target.on('close', closed);
}

/** RST rather than FIN: the peer sees a failure, as it does when a network goes away. */
export function reset(socket: Socket): void {
  // A goodbye under way cannot be taken back: Node would leave the handle open for good (EINVAL of uv_tcp_close_reset).
  const isEnding = socket.writableEnded && !socket.writableFinished;
  if (socket.connecting || isEnding) socket.destroy();
  else socket.resetAndDestroy();
}

/** What both directions of a connection share. */
interface Pair extends ConnectionOptions {
  /** Half-open: what comes is read and thrown away. */
  isSilent: boolean;
  openMs: number;
}

type Piece = { kind: 'bytes'; bytes: Buffer; isHandshake: boolean } | { kind: 'end' };

function forward(link: Link, direction: Direction, from: Socket, to: Socket, pair: Pair): DelayLine<Piece> {
  const { highWaterMarkBytes, openMs } = pair;
  const frames = new FrameWatch();
  const line = new DelayLine<Piece>(link.clock, link.model, (piece) => {
    if (piece.kind === 'end') return to.end();
    link.pass(direction, piece.bytes.length, (passedBytes) => {
      const cutAt = frames.take(piece.bytes.subarray(0, passedBytes), pair.frameCuts[direction]);
      const bytes = piece.bytes.subarray(0, cutAt ?? passedBytes);
      if (!to.write(piece.isHandshake ? bytes : link.asReceived(direction, bytes))) line.hold();
      if (cutAt === undefined) return;
      pair.frameCuts[direction] = undefined;
      link.cut();
    });
    if (from.isPaused() && line.bytes <= highWaterMarkBytes / 2) from.resume();
  });
  const push = (piece: Piece, bytes: number) =>
    pair.isSilent || line.push(piece, bytes, link.model.plan(direction, bytes, Math.max(openMs, link.clock.now())));
  let isHandshake = true;
  from.on('data', (chunk: Buffer) => {
    const bytesMax = pair.slicing[direction] ?? SLICE_BYTES;
    pair.slicing[direction] = undefined;
    for (const bytes of slices(chunk, bytesMax)) push({ kind: 'bytes', bytes, isHandshake }, bytes.length);
    // Headers of HTTP have no checksum: what comes of a flipped bit there is anybody's guess.
    if (isHandshake && chunk.includes('\r\n\r\n')) isHandshake = false;
    if (line.bytes >= highWaterMarkBytes) from.pause();
  });
  from.on('end', () => {
    // Who ends a half-open connection has given it up: nobody would ever answer, and the socket would stay for good.
    if (pair.isSilent) from.destroy();
    else push({ kind: 'end' }, 0);
  });
  to.on('drain', () => line.release());
  return line;
}

function* slices(chunk: Buffer, bytesMax: number): Generator<Buffer> {
  for (let from = 0; from < chunk.length; from += bytesMax) yield chunk.subarray(from, from + bytesMax);
}
