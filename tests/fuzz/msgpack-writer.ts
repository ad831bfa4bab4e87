import type { Dice } from '../simulation/sim-random.js';
import type { Plain } from './reference-msgpack.js';

/** msgpack in any of the forms that a value may be written in, the long ones too. */
export function writePlain(value: Plain, dice: Dice, into: number[] = []): number[] {
  if (typeof value === 'boolean') into.push(value ? 0xc3 : 0xc2);
  else if (typeof value === 'number') writeNumber(value, dice, into);
  else if (typeof value === 'string') writeText(value, dice, into);
  else if (Array.isArray(value)) {
    writeHead(value.length, 0x90, 0xdc, dice, into);
    for (const item of value) writePlain(item, dice, into);
  } else {
    writeHead(value.size, 0x80, 0xde, dice, into);
    for (const [key, item] of value) {
      writeText(key, dice, into);
      writePlain(item, dice, into);
    }
  }
  return into;
}

function writeHead(count: number, short: number, long: number, dice: Dice, into: number[]): void {
  if (count < 16 && dice.chance(0.9)) into.push(short + count);
  else into.push(long, count >> 8, count & 0xff);
}

function writeText(text: string, dice: Dice, into: number[]): void {
  const bytes = Buffer.from(text, 'utf8');
  if (bytes.length < 32 && dice.chance(0.9)) into.push(0xa0 + bytes.length);
  else if (bytes.length < 256 && dice.chance(0.9)) into.push(0xd9, bytes.length);
  else into.push(0xda, bytes.length >> 8, bytes.length & 0xff);
  into.push(...bytes);
}

const buffer = Buffer.alloc(9);

/** Forms of integers: tag, bytes, the least and the largest number that fits. */
const INTEGERS = [
  [0xcc, 1, 0, 0xff],
  [0xcd, 2, 0, 0xffff],
  [0xce, 4, 0, 0xffffffff],
  [0xcf, 8, 0, Number.MAX_SAFE_INTEGER],
  [0xd0, 1, -0x80, 0x7f],
  [0xd1, 2, -0x8000, 0x7fff],
  [0xd2, 4, -0x80000000, 0x7fffffff],
  [0xd3, 8, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
] as const;

function writeNumber(value: number, dice: Dice, into: number[]): void {
  if (!Number.isInteger(value) || dice.chance(0.05)) return writeFloat(value, dice, into);
  if (value >= 0 && value < 128 && dice.chance(0.8)) return void into.push(value);
  if (value < 0 && value >= -32 && dice.chance(0.8)) return void into.push(256 + value);
  const forms = INTEGERS.filter(([, , min, max]) => value >= min && value <= max);
  if (forms.length === 0) return writeFloat(value, dice, into);
  const [tag, bytes] = dice.chance(0.7) ? forms[0]! : dice.pick(forms);
  buffer.writeBigInt64BE(BigInt(value));
  into.push(tag, ...buffer.subarray(8 - bytes, 8));
}

function writeFloat(value: number, dice: Dice, into: number[]): void {
  if (dice.chance(0.3)) {
    buffer.writeFloatBE(value);
    into.push(0xca, ...buffer.subarray(0, 4));
  } else {
    buffer.writeDoubleBE(value);
    into.push(0xcb, ...buffer.subarray(0, 8));
  }
}
