import { isDeepStrictEqual } from 'node:util';
import { type Declaration, readForward } from '@tandem/cloud/testing';
import {
  decodeMessage,
  isTandemError,
  type Message,
  type MessageOf,
  ROW_CODECS,
  type TandemError,
} from '@tandem/shared';
import { HASH_INFO } from '../support/hash-engine.js';
import type { AllocationGuard } from './allocation-guard.js';
import type { FuzzInput } from './inputs.js';
import { type Agreement, isForwardAllowed, type Reading, readFrame } from './reference-frame.js';
import { readRows } from './reference-rows.js';

/** What came of one input: refused with a code, or taken as deep as it goes. */
export type Verdict = 'refused' | 'message' | 'forward' | 'rows';

/** Rows of 4 bits become floats of 32, and items of one byte become references of eight. */
const ALLOCATION_FACTOR = 16;
const ALLOCATION_SLACK_BYTES = 1_024;
/** The rotation adds up in another order than the plain sum. */
const ROTATION_ERROR = 1e-5;

/** Decodes with the real decoder and the slow one. Throws with what is wrong, if anything is. */
export function check({ bytes, agreed }: FuzzInput, guard: AllocationGuard): Verdict {
  const expected = readFrame(bytes);
  guard.take();
  const message = attempt(() => decodeMessage(bytes));
  checkAllocation(guard, bytes);
  compareMessage(message, expected);
  if (isTandemError(message) || 'refused' in expected) return 'refused';
  if (message.kind !== 'context-forward') return 'message';
  const isAllowed = isForwardAllowed(expected.control, expected.payload, agreed);
  const rows = attempt(() => takeForward(message, agreed));
  checkAllocation(guard, bytes);
  if (isTandemError(rows) || !isAllowed) {
    if (isTandemError(rows) && rows.code === 'PROTOCOL_VIOLATION' && !isAllowed) return 'refused';
    throw new Error(
      `forward: ${isAllowed ? 'allowed' : 'not allowed'}, but ${isTandemError(rows) ? rows.message : 'taken'}`,
    );
  }
  if (!rows) return 'forward';
  compareRows(rows, readRows(agreed.codec, message.payload, agreed.width), agreed);
  return 'rows';
}

/** Any error but ours is a finding. */
function attempt<Value>(run: () => Value): Value | TandemError {
  try {
    return run();
  } catch (error) {
    if (isTandemError(error)) return error;
    throw new Error(`not a typed error: ${error instanceof Error ? error.stack : String(error)}`);
  }
}

function checkAllocation(guard: AllocationGuard, bytes: Uint8Array): void {
  const allocated = guard.take();
  const most = ALLOCATION_FACTOR * bytes.length + ALLOCATION_SLACK_BYTES;
  if (allocated > most) throw new Error(`${allocated} bytes asked for, for a frame of ${bytes.length}`);
}

function compareMessage(message: Message | TandemError, expected: Reading): void {
  if ('refused' in expected) {
    if (isTandemError(message) && message.code === expected.refused) return;
    throw new Error(
      `expected ${expected.refused}, got ${isTandemError(message) ? message.message : JSON.stringify(message)}`,
    );
  }
  if (isTandemError(message)) throw new Error(`expected ${JSON.stringify(expected.control)}, got ${message.message}`);
  const { kind, control, payload } = message;
  const isSame =
    kind === expected.kind &&
    isDeepStrictEqual(control, expected.control) &&
    Buffer.compare(payload, expected.payload) === 0;
  if (!isSame) throw new Error(`expected ${JSON.stringify(expected.control)}, got ${JSON.stringify(control)}`);
}

/** As far as a forward goes before an engine sees it, and the engine's first act. */
function takeForward(
  { control, payload }: MessageOf<'context-forward'>,
  { context, codec, capacity, largerModel, width, vocabularySize }: Agreement,
): Float32Array | undefined {
  const declaration: Declaration = { context, codec, capacity, largerModel, ledger: undefined };
  const { input } = readForward(control, payload, declaration, { ...HASH_INFO, width, vocabularySize });
  if (input?.kind !== 'encoded-rows') return undefined;
  const rows = new Float32Array((input.bytes.length / ROW_CODECS[codec].bytesPerRow(width)) * width);
  ROW_CODECS[codec].decode(input.bytes, width, rows);
  return rows;
}

function compareRows(rows: Float32Array, expected: number[], { codec, width }: Agreement): void {
  if (rows.length !== expected.length) throw new Error(`${rows.length} numbers, expected ${expected.length}`);
  for (let start = 0; start < rows.length; start += width) {
    const own = expected.slice(start, start + width);
    const scale = Math.max(0, ...own.filter(Number.isFinite).map(Math.abs));
    const tolerance = codec.startsWith('rot') ? ROTATION_ERROR * scale : 0;
    for (const [i, number] of own.entries()) {
      const got = rows[start + i]!;
      const isSame = Object.is(got, number) || Math.abs(got - number) <= tolerance;
      if (!isSame) throw new Error(`${codec}: number ${start + i} is ${got}, expected ${number}`);
    }
  }
}
