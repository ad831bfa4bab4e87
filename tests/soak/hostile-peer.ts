import { connect, type Socket } from 'node:net';
import { encodeFrame, encodeMessage, limits, systemClock } from '@tandem/shared';
import type { Dice } from '../simulation/sim-random.js';
import { upgrade, webSocketFrame } from '../support/raw-http.js';

/** How long a visit lasts at most: a peer that is shown out and does not answer the close is cut by then. */
const VISIT_MS = limits.CLOSE_TIMEOUT_MS + 2_000;
const BINARY = 0x82;

type Attack = (port: number, dice: Dice) => Promise<Socket>;

/** What peers do that are no clients. Each returns the socket that it left open. */
const ATTACKS: Record<string, Attack> = {
  /** Bytes that are no HTTP. */
  async noise(port, dice) {
    const socket = open(port);
    socket.write(drawBytes(dice, 512));
    return socket;
  },
  /** Headers that never end. */
  async drip(port) {
    const socket = open(port);
    socket.write('GET /v1/sessions/aaaaaaaaaaaaaaaaaaaaaa HTTP/1.1\r\nHost: x\r\nX-Drip: ');
    return socket;
  },
  /** A connection that never says what it wants. */
  async silent(port, dice) {
    return shakeHands(port, dice);
  },
  /** Announces the largest message, sends some of it, and stalls. */
  async announcement(port, dice) {
    const socket = await shakeHands(port, dice);
    const bytes = BigInt(limits.FRAME_BYTES_MAX).toString(16).padStart(16, '0');
    socket.write(Buffer.from(`82ff${bytes}00000000`, 'hex'));
    socket.write(Buffer.alloc(16_384));
    return socket;
  },
  /** A frame of ours with a bit flipped. */
  async damagedFrame(port, dice) {
    const socket = await shakeHands(port, dice);
    const frame = encodeMessage('ping', { nonce: 7 });
    frame[dice.integer(0, frame.length - 1)]! ^= 1 << dice.integer(0, 7);
    socket.write(webSocketFrame(BINARY, frame));
    return socket;
  },
  /** A frame whose checksum is right and whose map is not. */
  async badMap(port, dice) {
    const socket = await shakeHands(port, dice);
    const frame = encodeFrame('session-open', drawBytes(dice, 48), new Uint8Array(0));
    socket.write(webSocketFrame(BINARY, frame));
    return socket;
  },
  /** A message that is not allowed yet. */
  async outOfPlace(port, dice) {
    const socket = await shakeHands(port, dice);
    const control = { epoch: 0, from: 0, count: 0, want: [], drafts: [] };
    socket.write(webSocketFrame(BINARY, encodeMessage('context-forward', control)));
    return socket;
  },
  /** Another model's client. */
  async wrongModel(port, dice) {
    const socket = await shakeHands(port, dice);
    const declaration = {
      model: 'another',
      format: 'q8',
      context: 'rows',
      codec: 'f16',
      capacity: 64,
      epoch: 0,
    } as const;
    socket.write(webSocketFrame(BINARY, encodeMessage('session-open', declaration)));
    return socket;
  },
};

export const ATTACK_NAMES = Object.keys(ATTACKS);

/** One visit of a peer that means no good. Resolves with how it ended; rejects where it could not even come in. */
export async function visit(port: number, dice: Dice): Promise<{ attack: string; shownOut: boolean }> {
  const attack = dice.pick(ATTACK_NAMES);
  const socket = await ATTACKS[attack]!(port, dice);
  const gone = new Promise<boolean>((resolve) => socket.once('close', () => resolve(true)));
  socket.resume();
  const leave = new AbortController();
  const patience = systemClock.sleep(VISIT_MS, leave.signal).then(
    () => false,
    () => true,
  );
  const shownOut = await Promise.race([gone, patience]);
  leave.abort();
  socket.destroy();
  return { attack, shownOut };
}

function open(port: number): Socket {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  return socket;
}

async function shakeHands(port: number, dice: Dice): Promise<Socket> {
  const id = Array.from({ length: 22 }, () => dice.integer(0, 9)).join('');
  const answer = await upgrade(port, `/v1/sessions/${id}`, { 'Sec-WebSocket-Protocol': 'tandem.v1' });
  if (!('socket' in answer)) throw new Error(`refused with ${answer.status}`);
  answer.socket.on('error', () => {});
  return answer.socket;
}

function drawBytes(dice: Dice, bytes: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, () => dice.integer(0, 255));
}
