import { once } from 'node:events';
import type { Socket } from 'node:net';
import { upgrade } from './raw-http.js';

export interface RawFrame {
  isFinal: boolean;
  opcode: number;
  payload: Buffer;
}

export interface RawFrameOptions {
  /** Default: with a mask, as clients must. */
  masked?: boolean;
  /** What the frame says of its length; default: the truth. */
  announcedBytes?: number | bigint;
}

const MASK = Buffer.from([0x37, 0xfa, 0x21, 0x3d]);

/** One WebSocket frame. `first`: FIN, reserved bits and opcode. */
export function rawFrame(first: number, payload: Uint8Array, options: RawFrameOptions = {}): Buffer {
  const { masked = true, announcedBytes = payload.length } = options;
  const maskBit = masked ? 0x80 : 0;
  const head: number[] = [first];
  if (announcedBytes < 126) head.push(maskBit | Number(announcedBytes));
  else if (announcedBytes < 65_536)
    head.push(maskBit | 126, Number(announcedBytes) >> 8, Number(announcedBytes) & 0xff);
  else {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64BE(BigInt(announcedBytes));
    head.push(maskBit | 127, ...bytes);
  }
  const body = masked ? payload.map((byte, i) => byte ^ MASK[i % 4]!) : payload;
  return Buffer.concat([Buffer.from(head), masked ? MASK : Buffer.alloc(0), body]);
}

/** A WebSocket that says byte for byte what a test wants, and hears whole frames. */
export class RawWebSocket {
  readonly socket: Socket;
  #heard = Buffer.alloc(0);
  #isGone = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#isGone = true;
    });
  }

  static async open(port: number, sessionId: string): Promise<RawWebSocket> {
    const answer = await upgrade(port, `/v1/sessions/${sessionId}`, { 'Sec-WebSocket-Protocol': 'tandem.v1' });
    if (!('socket' in answer)) throw new Error(`refused with ${answer.status}`);
    return new RawWebSocket(answer.socket);
  }

  send(first: number, payload: Uint8Array, options?: RawFrameOptions): void {
    this.socket.write(rawFrame(first, payload, options));
  }

  /** The next frame; undefined when the connection is gone. */
  async frame(): Promise<RawFrame | undefined> {
    for (;;) {
      const frame = this.#parse();
      if (frame || this.#isGone) return frame;
      await Promise.race([
        once(this.socket, 'data').then(([chunk]) => {
          this.#heard = Buffer.concat([this.#heard, chunk as Buffer]);
        }),
        once(this.socket, 'close'),
      ]);
    }
  }

  /** The code of the close frame that ends the connection; undefined for one without code, or none. */
  async closeCode(): Promise<number | undefined> {
    for (let frame = await this.frame(); frame; frame = await this.frame()) {
      if (frame.opcode === 8) return frame.payload.length >= 2 ? frame.payload.readUInt16BE(0) : undefined;
    }
    return undefined;
  }

  #parse(): RawFrame | undefined {
    const [first, second] = this.#heard;
    if (first === undefined || second === undefined) return undefined;
    // Servers do not mask; none of ours sends as much as 64 KiB here.
    const start = second < 126 ? 2 : 4;
    if (this.#heard.length < start) return undefined;
    const bytes = second < 126 ? second : this.#heard.readUInt16BE(2);
    if (this.#heard.length < start + bytes) return undefined;
    const payload = this.#heard.subarray(start, start + bytes);
    this.#heard = this.#heard.subarray(start + bytes);
    return { isFinal: first >= 0x80, opcode: first & 0x0f, payload };
  }
}
