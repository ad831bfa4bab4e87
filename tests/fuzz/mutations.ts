import type { Dice } from '../simulation/sim-random.js';

/** Bytes at which formats change their meaning. */
const BYTES = [
  0, 1, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc4, 0xc7, 0xcb, 0xcf, 0xd3, 0xd9, 0xda, 0xdb,
];
const MORE_BYTES = [0xdc, 0xdd, 0xde, 0xdf, 0xe0, 0xff];
const EDGES = [...BYTES, ...MORE_BYTES];
/** Lengths and numbers at which they do. */
const WORDS = [
  0, 1, 7, 8, 15, 16, 255, 256, 16_384, 16_385, 65_535, 65_536, 8_388_592, 8_388_608, 0x7fffffff, 0xffffffff,
];

type Mutation = (bytes: Buffer, dice: Dice) => Buffer;

const MUTATIONS: readonly Mutation[] = [
  function flipBit(bytes, dice) {
    bytes[dice.integer(0, bytes.length - 1)]! ^= 1 << dice.integer(0, 7);
    return bytes;
  },
  function setByte(bytes, dice) {
    bytes[dice.integer(0, bytes.length - 1)] = dice.integer(0, 255);
    return bytes;
  },
  function setEdge(bytes, dice) {
    bytes[dice.integer(0, bytes.length - 1)] = dice.pick(EDGES);
    return bytes;
  },
  function setWord(bytes, dice) {
    if (bytes.length < 4) return bytes;
    const at = dice.integer(0, bytes.length - 4);
    if (dice.chance(0.5)) bytes.writeUInt32LE(dice.pick(WORDS), at);
    else bytes.writeUInt32BE(dice.pick(WORDS), at);
    return bytes;
  },
  function nudge(bytes, dice) {
    bytes[dice.integer(0, bytes.length - 1)]! += dice.pick([1, 255]);
    return bytes;
  },
  function truncate(bytes, dice) {
    return bytes.subarray(0, dice.integer(0, bytes.length));
  },
  function remove(bytes, dice) {
    const from = dice.integer(0, bytes.length);
    return Buffer.concat([bytes.subarray(0, from), bytes.subarray(from + dice.integer(1, 8))]);
  },
  function insert(bytes, dice) {
    const from = dice.integer(0, bytes.length);
    const more = Buffer.from(Array.from({ length: dice.integer(1, 8) }, () => dice.pick(EDGES)));
    return Buffer.concat([bytes.subarray(0, from), more, bytes.subarray(from)]);
  },
  function repeat(bytes, dice) {
    const from = dice.integer(0, bytes.length);
    const to = Math.min(bytes.length, from + dice.integer(1, 32));
    return Buffer.concat([bytes.subarray(0, to), bytes.subarray(from, to), bytes.subarray(to)]);
  },
];

/** One to four changes; the bytes that are given stay as they are. */
export function mutate(bytes: Uint8Array, dice: Dice): Buffer {
  let mutated: Buffer = Buffer.from(bytes);
  for (let left = dice.pick([1, 1, 1, 2, 3, 4]); left > 0 && mutated.length > 0; left--) {
    mutated = dice.pick(MUTATIONS)(mutated, dice);
  }
  return mutated;
}
