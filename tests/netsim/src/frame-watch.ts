import { KINDS, type MessageKind } from '@tandem/shared';

/** Where to cut: in the next message of `kind`, when `part` of its bytes have arrived. */
export interface FrameCut {
  kind: MessageKind;
  /** From 0, its first bytes, to 1, all but its end. */
  part: number;
}

const BINARY = 2;
/** Of a frame's payload, up to the byte that names its kind. */
const NAMED_BYTES = 3;

/**
 * Follows one direction of a WebSocket connection, from the handshake on, so that a cut can be made inside a message that
 * one names. Knows as much of RFC 6455 as that takes: frame heads, lengths and masks.
 */
export class FrameWatch {
  #state: 'handshake' | 'head' | 'body' = 'handshake';
  /** Bytes of `\r\n\r\n` seen. */
  #ending = 0;
  #head: number[] = [];
  /** Of the payload, still to come. */
  #left = 0;
  /** Bytes to the cut, once its message has begun. */
  #cutIn: number | undefined;

  /** Bytes arrive. Returns how many of them come before the cut, if it is among them. */
  take(bytes: Uint8Array, cut: FrameCut | undefined): number | undefined {
    for (let i = 0; i < bytes.length; i++) {
      const byte = bytes[i]!;
      if (this.#state === 'handshake') this.#shake(byte);
      else if (this.#state === 'head') this.#begin(byte, cut);
      else this.#pass();
      if (this.#cutIn === 0) return i + 1;
    }
    return undefined;
  }

  #shake(byte: number): void {
    const expected = this.#ending % 2 === 0 ? 0x0d : 0x0a;
    this.#ending = byte === expected ? this.#ending + 1 : Number(byte === 0x0d);
    if (this.#ending === 4) this.#state = 'head';
  }

  #begin(byte: number, cut: FrameCut | undefined): void {
    this.#head.push(byte);
    const [first = 0, second] = this.#head;
    if (second === undefined) return;
    const maskBytes = second & 0x80 ? 4 : 0;
    const lengthBytes = { 126: 2, 127: 8 }[second & 0x7f] ?? 0;
    const headBytes = 2 + lengthBytes + maskBytes;
    if (this.#head.length < headBytes) return;
    const payloadBytes =
      lengthBytes === 0
        ? second & 0x7f
        : this.#head.slice(2, 2 + lengthBytes).reduce((sum, part) => 256 * sum + part, 0);
    const isNamed = (first & 0x0f) === BINARY && payloadBytes >= NAMED_BYTES;
    if (isNamed && this.#head.length < headBytes + NAMED_BYTES) return;
    this.#left = payloadBytes - (isNamed ? NAMED_BYTES : 0);
    const mask = maskBytes > 0 ? this.#head[headBytes - 2]! : 0;
    const kind = isNamed ? this.#head[headBytes + NAMED_BYTES - 1]! ^ mask : undefined;
    if (cut && kind === KINDS[cut.kind]) this.#cutIn = Math.floor(cut.part * Math.max(0, this.#left - 1));
    this.#head = [];
    if (this.#left > 0) this.#state = 'body';
  }

  #pass(): void {
    if (this.#cutIn !== undefined) this.#cutIn--;
    if (--this.#left === 0) this.#state = 'head';
  }
}
