import { decodeMessage, encodeFrame, type MessageKind } from '@tandem/shared';
import { describe, expect, test } from 'vitest';

/** A well-formed frame around any control bytes, through the only public way in. */
function decode(control: number[], kind: MessageKind = 'ping') {
  return decodeMessage(encodeFrame(kind, Uint8Array.from(control), new Uint8Array(0)));
}

const NONCE = [0xa5, ...Buffer.from('nonce')];

describe('a control map', () => {
  test.each<[string, number[], number]>([
    ['fixint', [7], 7],
    ['uint8', [0xcc, 0xff], 255],
    ['uint16', [0xcd, 1, 0], 256],
    ['uint32', [0xce, 0xff, 0xff, 0xff, 0xff], 4_294_967_295],
    ['uint64', [0xcf, 0, 0, 0, 0, 0, 0, 0, 9], 9],
    ['float64', [0xcb, 0x40, 0x14, 0, 0, 0, 0, 0, 0], 5],
    ['int8', [0xd0, 1], 1],
    ['int64', [0xd3, 0, 0, 0, 0, 0, 0, 1, 0], 256],
  ])('may write a number as %s', (_format, bytes, nonce) => {
    expect(decode([0x81, ...NONCE, ...bytes]).control).toEqual({ nonce });
  });

  test.each<[string, number[]]>([
    ['map16', [0xde, 0, 1, ...NONCE, 7]],
    ['str8 keys', [0x81, 0xd9, 5, ...Buffer.from('nonce'), 7]],
    ['str16 keys', [0x81, 0xda, 0, 5, ...Buffer.from('nonce'), 7]],
  ])('may be written with %s', (_format, bytes) => {
    expect(decode(bytes).control).toEqual({ nonce: 7 });
  });

  test.each<[string, number[], RegExp]>([
    ['an array', [0x91, 7], /not a map/],
    ['a number', [7], /not a map/],
    ['nothing', [], /ends in mid-value/],
    ['a map and more', [0x80, 0x80], /1 bytes behind the control map/],
    ['a map with half of its keys', [0x82, ...NONCE, 7], /items announced|ends in mid-value/],
    ['a key without value', [0x81, ...NONCE], /ends in mid-value/],
    ['a string that ends early', [0x81, 0xa9, 1, 2], /ends in mid-value/],
    ['a number that ends early', [0x81, ...NONCE, 0xce, 0], /ends in mid-value/],
    ['nil', [0x81, ...NONCE, 0xc0], /type 0xc0/],
    ['the unused byte', [0x81, ...NONCE, 0xc1], /type 0xc1/],
    ['binary data', [0x81, ...NONCE, 0xc4, 1, 0], /type 0xc4/],
    ['an extension', [0x81, ...NONCE, 0xd4, 0x72, 0x40], /type 0xd4/],
    ['a record of msgpackr', [0x81, ...NONCE, 0xd5, 0x72, 0x40, 0x91], /type 0xd5/],
    ['a timestamp', [0x81, ...NONCE, 0xd6, 0xff, 0, 0, 0, 0], /type 0xd6/],
    ['ext8', [0x81, ...NONCE, 0xc7, 0, 1], /type 0xc7/],
    ['a str32', [0x81, ...NONCE, 0xdb, 0, 0, 0, 0], /type 0xdb/],
    ['an array32', [0x81, ...NONCE, 0xdd, 0xff, 0xff, 0xff, 0xff], /type 0xdd/],
    ['a map32', [0xdf, 0xff, 0xff, 0xff, 0xff], /not a map/],
    ['an array16 longer than the bytes', [0x81, ...NONCE, 0xdc, 0xff, 0xff, 1], /65535 items announced, 1 bytes left/],
    ['a map16 longer than the bytes', [0xde, 0xff, 0xff, 1], /131070 items announced, 1 bytes left/],
    ['deep nesting', [0x81, ...NONCE, 0x91, 0x91, 0x91, 7], /nested deeper than 3/],
    ['nesting in a key', [0x81, 0x91, 0x91, 0x91, 7, 7], /nested deeper than 3/],
  ])('may not be or hold %s', (_what, bytes, message) => {
    expect(() => decode(bytes)).toThrow(message);
    expect(() => decode(bytes)).toThrow(/^MALFORMED_FRAME/);
  });

  test('of nested arrays as large as a frame allows is refused at once, without recursion into it', () => {
    const bomb = [0x81, ...NONCE, ...Array<number>(16_000).fill(0x91)];
    expect(() => decode(bomb)).toThrow(/nested deeper than 3/);
  });

  test('may nest as deep as messages do', () => {
    const control = [0x81, ...NONCE, 0x91, 0x91, 7];
    expect(() => decode(control)).toThrow(/ping: nonce: /);
  });
});
