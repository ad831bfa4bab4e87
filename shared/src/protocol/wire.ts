import { decode, encode } from '@msgpack/msgpack';
import { TandemError } from '../errors.js';
import { CONTROL_BYTES_MAX } from '../limits.js';
import { checkControlMap } from './control-check.js';
import { decodeFrame, encodeFrame } from './frame.js';
import { MESSAGE_SCHEMAS, type Message, type Messages } from './messages.js';

/**
 * The only door to @msgpack/msgpack. It works where pages forbid `eval`, and is a third of msgpackr's size. Its own limits are
 * set although `checkControlMap` has looked before: a control map is small, and extension types have no place in it.
 */
const DECODE_LIMITS = {
  maxStrLength: CONTROL_BYTES_MAX,
  maxBinLength: CONTROL_BYTES_MAX,
  maxArrayLength: CONTROL_BYTES_MAX,
  maxMapLength: CONTROL_BYTES_MAX,
  maxExtLength: 0,
};
const NO_PAYLOAD = new Uint8Array(0);

export function encodeMessage<Kind extends keyof Messages>(
  kind: Kind,
  control: Messages[Kind],
  payload: Uint8Array = NO_PAYLOAD,
): Uint8Array {
  return encodeFrame(kind, encode(control, { ignoreUndefined: true }), payload);
}

/**
 * Checks frame, structure and types, in this order, each before the next allocates anything.
 * @throws TandemError MALFORMED_FRAME, FRAME_TOO_LARGE
 */
export function decodeMessage(bytes: Uint8Array): Message {
  const frame = decodeFrame(bytes);
  checkControlMap(frame.control);
  const parsed = MESSAGE_SCHEMAS[frame.kind].safeParse(unpack(frame.control));
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new TandemError(
      'MALFORMED_FRAME',
      `${frame.kind}: ${issue?.path.join('.') || 'control map'}: ${issue?.message}`,
    );
  }
  return { kind: frame.kind, control: parsed.data, payload: frame.payload } as Message;
}

function unpack(control: Uint8Array): unknown {
  try {
    return decode(control, DECODE_LIMITS);
  } catch (cause) {
    throw new TandemError('MALFORMED_FRAME', 'the control map is not msgpack', { cause });
  }
}
