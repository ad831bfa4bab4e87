import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { decodeMessage, encodeFrame, isTandemError, type MessageKind } from '@tandem/shared';
import { describe, expect, it } from 'vitest';

/** The msgpack test suite (github.com/kawanet/msgpack-test-suite) through the decoder of control maps. */
const DATA = process.env.TANDEM_DATA ?? join(dirname(fileURLToPath(import.meta.url)), '../../../shared/data');
const VECTORS = join(DATA, 'conformance/msgpack-test-suite.json');

interface Vector {
  msgpack: string[];
  number?: number;
  string?: string;
  bool?: boolean;
  array?: unknown[];
  map?: Record<string, unknown>;
}

/** What no control map holds, whatever it would mean: nil, binary, extensions, timestamps, lengths of 32 bits. */
const REFUSED = /^(c0|c4|c5|c6|c7|c8|c9|d4|d5|d6|d7|d8|db|dd|df)/;
const U32_MAX = 0xffffffff;
const [NO_MAP, MALFORMED] = ['no map', 'MALFORMED_FRAME'] as const;

/** A message with a field that may hold such a value, and whether it may hold this one. */
interface Carrier {
  kind: MessageKind;
  field: string;
  rest: number[];
  isAllowed: boolean;
}

const text = (value: string) => [0xa0 + value.length, ...Buffer.from(value)];

function carrierOf({ number, string, bool, array }: Vector): Carrier | typeof NO_MAP {
  if (number !== undefined && Number.isInteger(number)) {
    return { kind: 'ping', field: 'nonce', rest: [], isAllowed: number >= 0 && number <= U32_MAX };
  }
  if (number !== undefined) return { kind: 'drain', field: 'deadlineMs', rest: [], isAllowed: number >= 0 };
  if (string !== undefined) {
    return { kind: 'error', field: 'message', rest: [...text('code'), ...text('ABORTED')], isAllowed: true };
  }
  if (bool !== undefined) {
    const zeros = ['epoch', 'length', 'engineMs', 'queueMs'].flatMap((name) => [...text(name), 0]);
    const lists = ['rows', 'tokens'].flatMap((name) => [...text(name), 0x90]);
    return { kind: 'verdict', field: 'mismatch', rest: [...zeros, ...lists], isAllowed: true };
  }
  if (array !== undefined) {
    const rest = [...text('epoch'), 0, ...text('from'), 0, ...text('count'), 0, ...text('drafts'), 0x90];
    return { kind: 'context-forward', field: 'want', rest, isAllowed: array.every(Number.isInteger) };
  }
  return NO_MAP;
}

/** The vector inside of a sound frame. */
function decode(vector: Vector, hex: string): unknown {
  const carrier = carrierOf(vector);
  const value = [...Buffer.from(hex.replaceAll('-', ''), 'hex')];
  if (carrier === NO_MAP) return decodeMessage(encodeFrame('session-close', Uint8Array.from(value), new Uint8Array(0)));
  const { kind, field, rest } = carrier;
  const pairs = { ping: 1, drain: 1, error: 2, verdict: 7, 'context-forward': 5 }[kind as 'ping'];
  const control = Uint8Array.of(0x80 + pairs, ...text(field), ...value, ...rest);
  const message = decodeMessage(encodeFrame(kind, control, new Uint8Array(0)));
  return (message.control as Record<string, unknown>)[field];
}

function expected(vector: Vector, hex: string): unknown {
  const carrier = carrierOf(vector);
  const isRefused = hex.split('-').length > 0 && REFUSED.test(hex);
  if (carrier === NO_MAP) {
    const isEmptyMap = vector.map !== undefined && Object.keys(vector.map).length === 0 && !isRefused;
    return isEmptyMap ? { kind: 'session-close', control: {}, payload: new Uint8Array(0) } : MALFORMED;
  }
  if (isRefused || !carrier.isAllowed) return MALFORMED;
  return vector.number ?? vector.string ?? vector.bool ?? vector.array;
}

const groups: [string, Vector[]][] = existsSync(VECTORS)
  ? Object.entries(JSON.parse(readFileSync(VECTORS, 'utf8')))
  : [];

describe.skipIf(groups.length === 0)('msgpack vectors, skipped where shared/data/conformance is missing', () => {
  it.each(groups)('%s', (_name, vectors) => {
    for (const vector of vectors) {
      for (const hex of vector.msgpack) {
        let got: unknown;
        try {
          got = decode(vector, hex);
        } catch (error) {
          got = isTandemError(error) ? error.code : error;
        }
        expect(got, hex).toEqual(expected(vector, hex));
      }
    }
  });

  it('are read, not only refused', () => {
    const all = groups.flatMap(([, vectors]) =>
      vectors.flatMap((vector) => vector.msgpack.map((hex) => [vector, hex] as const)),
    );
    const taken = all.filter(([vector, hex]) => expected(vector, hex) !== MALFORMED);
    expect(all.length).toBeGreaterThan(200);
    expect(taken.length).toBeGreaterThan(50);
  });
});

if (groups.length === 0) console.log(`skipped: msgpack vectors, ${VECTORS} is missing`);
