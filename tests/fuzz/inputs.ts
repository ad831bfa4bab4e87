import {
  encodeFrame,
  encodeMessage,
  KINDS,
  type MessageKind,
  type Messages,
  ROW_CODEC_NAMES,
  ROW_CODECS,
} from '@tandem/shared';
import { Dice, seedOf } from '../simulation/sim-random.js';
import { LARGER_MODEL_MESSAGES, SAMPLE_MESSAGES } from '../support/sample-messages.js';
import { writePlain } from './msgpack-writer.js';
import { mutate } from './mutations.js';
import { type Agreement, checksum } from './reference-frame.js';
import { FIELDS, type Field, type Fields } from './reference-messages.js';
import type { Plain } from './reference-msgpack.js';

/** One thing to decode, and what both sides have agreed to. The number and the seed are all that it depends on. */
export interface FuzzInput {
  bytes: Uint8Array;
  agreed: Agreement;
}

const VOCABULARY_SIZE = 50_000;
const KIND_NAMES = Object.keys(KINDS) as MessageKind[];
const HEADER_BYTES = 16;
const CHECKSUM_AT = 12;
const NO_PAYLOAD = new Uint8Array(0);

/** A tensor frame or another message, damaged; half of them with a checksum that is right again. */
export function frameInput(seed: string, index: number): FuzzInput {
  const dice = new Dice(seedOf(seed, index));
  const { bytes: original, agreed } = soundInput(seed, index % SOUND_INPUTS);
  // A few stay whole: a decoder that refuses everything would be right about all others.
  let bytes = dice.chance(0.06) ? Buffer.from(original) : mutate(original, dice);
  if (dice.chance(0.6) && bytes.length >= HEADER_BYTES) {
    bytes.writeUInt32LE(checksum(bytes.subarray(HEADER_BYTES)), CHECKSUM_AT);
  }
  // A received buffer starts anywhere.
  if (dice.chance(0.1)) bytes = Buffer.concat([Buffer.alloc(3), bytes]).subarray(3);
  return { bytes, agreed };
}

/** Sound frames that damaged ones are made of: their number times the changes is what there is to see. */
const SOUND_INPUTS = 4_096;
const soundInputs = new Map<string, FuzzInput>();

function soundInput(seed: string, number: number): FuzzInput {
  const key = `${seed} ${number}`;
  let input = soundInputs.get(key);
  if (!input) {
    const dice = new Dice(seedOf(`${seed}5`, number));
    const agreed = drawAgreement(dice);
    input = { agreed, bytes: dice.chance(0.8) ? tensorFrame(dice, agreed) : dice.pick(SAMPLES) };
    soundInputs.set(key, input);
  }
  return input;
}

/** A sound frame around a control map that is damaged, or made of what a map may hold in places where it may not. */
export function controlInput(seed: string, index: number): FuzzInput {
  const dice = new Dice(seedOf(seed, index));
  const agreed = drawAgreement(dice);
  const kind = dice.pick(KIND_NAMES);
  const isMutated = dice.chance(0.5);
  const written = Uint8Array.from(writePlain(drawMap(FIELDS[kind], dice, isMutated ? 0 : 0.08), dice));
  const control = isMutated ? mutate(written, dice) : written;
  return { bytes: encodeFrame(kind, control, NO_PAYLOAD), agreed };
}

function drawAgreement(dice: Dice): Agreement {
  return {
    context: dice.chance(0.9) ? 'rows' : 'tokens',
    codec: dice.pick(ROW_CODEC_NAMES),
    capacity: dice.pick([4, 64, 4_096]),
    largerModel: dice.chance(0.2),
    // Whole blocks and groups, and what is left over; wide rows are slow to check.
    width: dice.chance(0.01) ? dice.pick([256, 300]) : dice.pick([1, 3, 8, 24, 70]),
    vocabularySize: VOCABULARY_SIZE,
  };
}

/** What a device sends, as far as the agreement goes. */
function tensorFrame(dice: Dice, { context, codec, capacity, largerModel, width }: Agreement): Uint8Array {
  const count = dice.integer(0, 3);
  const from = dice.integer(0, capacity - count);
  const want = Array.from({ length: count }, (_, i) => from + i).filter(() => dice.chance(0.5));
  const control: Messages['context-forward'] = {
    epoch: dice.integer(0, 9),
    from,
    count,
    want,
    drafts: want.slice(dice.integer(0, 1)).map(() => dice.integer(0, VOCABULARY_SIZE)),
    ...(dice.chance(0.4) ? { sampling: SAMPLE_MESSAGES['context-forward'].sampling } : {}),
    ...(largerModel && context === 'rows' ? { tokens: Array.from({ length: count }, (_, i) => i) } : {}),
  };
  const bytesEach = context === 'tokens' ? 2 : ROW_CODECS[codec].bytesPerRow(width);
  return encodeMessage(
    'context-forward',
    control,
    drawRows(dice, count, context === 'tokens' ? 1 : width, bytesEach, codec),
  );
}

function drawRows(dice: Dice, count: number, width: number, bytesEach: number, codec: Agreement['codec']): Uint8Array {
  const payload = new Uint8Array(count * bytesEach);
  if (dice.chance(0.3)) return payload.map(() => dice.integer(0, 255));
  if (bytesEach !== ROW_CODECS[codec].bytesPerRow(width)) return payload;
  const rows = Float32Array.from({ length: count * width }, () => dice.between(-4, 4));
  ROW_CODECS[codec].encode(rows, width, payload);
  return payload;
}

const SAMPLES = [SAMPLE_MESSAGES, LARGER_MODEL_MESSAGES].flatMap((messages) =>
  Object.entries(messages).map(([kind, control]) => encodeMessage(kind as MessageKind, control as never)),
);

/** A map by the table, in which each part is wrong with the probability `wrongness`. */
function drawMap(fields: Fields, dice: Dice, wrongness: number): Map<string, Plain> {
  const map = new Map<string, Plain>();
  for (const [name, { field, missing }] of Object.entries(fields)) {
    if (dice.chance(missing === 'refused' ? wrongness / 4 : 0.5)) continue;
    map.set(name, dice.chance(wrongness) ? drawAnything(dice, 0) : drawField(field, dice, wrongness));
  }
  if (dice.chance(wrongness)) map.set(dice.pick(STRANGE_KEYS), drawAnything(dice, 0));
  return map;
}

const STRANGE_KEYS = ['', 'x', '__proto__', 'constructor', 'toString', 'épok', '7'];
const STRANGE_NUMBERS = [
  -1,
  -0,
  0.5,
  2 ** 32,
  2 ** 53,
  -(2 ** 53),
  1e300,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  5e-324,
];
const STRANGE_TEXTS = ['', 'ü', '𝄞', 'x'.repeat(65), 'ß'.repeat(130), '\u0000', 'toString'];

function drawField(field: Field, dice: Dice, wrongness: number): Plain {
  switch (field.type) {
    case 'integer':
      return dice.chance(wrongness) ? dice.pick([field.min - 1, field.max + 1]) : drawInteger(field, dice);
    case 'number':
      return dice.pick([field.min, 0.25, 1, Math.min(field.max, 1e9), dice.random.next()]);
    case 'text': {
      const most = Math.min(field.max, 40);
      const chars = dice.chance(wrongness) ? field.max + 1 : dice.integer(Math.min(field.min, most), most);
      return dice.pick(['a', 'ü', '-']).repeat(chars);
    }
    case 'choice':
      return dice.pick(field.of);
    case 'list': {
      const items = dice.chance(wrongness) ? field.max + 1 : dice.integer(field.min, Math.min(field.max, 5));
      return Array.from({ length: items }, () => drawField(field.of, dice, wrongness));
    }
    case 'map':
      return drawMap(field.of, dice, wrongness);
  }
}

function drawInteger({ min, max }: { min: number; max: number }, dice: Dice): number {
  return dice.pick([min, max, dice.integer(min, Math.min(max, min + 200)), dice.integer(min, max)]);
}

function drawAnything(dice: Dice, nesting: number): Plain {
  switch (dice.integer(0, nesting < 4 ? 5 : 3)) {
    case 0:
      return dice.chance(0.5);
    case 1:
      return dice.integer(-200, 200);
    case 2:
      return dice.pick(STRANGE_NUMBERS);
    case 3:
      return dice.pick(STRANGE_TEXTS);
    case 4:
      return Array.from({ length: dice.integer(0, 3) }, () => drawAnything(dice, nesting + 1));
    default:
      return new Map([[dice.pick(STRANGE_KEYS), drawAnything(dice, nesting + 1)]]);
  }
}
