import type { PlantedBug } from '../simulation/planted-bugs.js';

/** Guards of the decoders, left out one at a time: the fuzzer must notice each. `find` occurs exactly once in the built file. */
export const FUZZ_BUGS: readonly PlantedBug[] = [
  {
    name: 'checksum-unread',
    what: 'a damaged frame passes',
    file: 'shared/dist/protocol/frame.js',
    find: 'if (crc32(bytes.subarray(HEADER_BYTES)) !== view.getUint32(12, true))',
    replace: 'if (false)',
  },
  {
    name: 'trailing-bytes',
    what: 'bytes behind the payload pass',
    file: 'shared/dist/protocol/frame.js',
    find: 'if (payloadStart + payloadBytes !== bytes.length)',
    replace: 'if (payloadStart + payloadBytes > bytes.length)',
  },
  {
    name: 'no-length-limit',
    what: 'a control map may be as long as it says',
    file: 'shared/dist/protocol/frame.js',
    find: 'if (controlBytes > CONTROL_BYTES_MAX)',
    replace: 'if (false)',
  },
  {
    name: 'announced-items',
    what: 'an array is made as long as it announces, before its items are there',
    file: 'shared/dist/protocol/wire.js',
    find: 'checkControlMap(frame.control);',
    replace: 'unpack(frame.control); checkControlMap(frame.control);',
  },
  {
    name: 'error-of-a-library',
    what: 'what msgpack throws gets out as it is',
    file: 'shared/dist/protocol/control-check.js',
    find: 'throw malformed(`msgpack type 0x',
    replace: 'throw new RangeError(`msgpack type 0x',
  },
  {
    name: 'not-utf8',
    what: 'a text may be anything',
    file: 'shared/dist/protocol/control-check.js',
    find: 'if (!isUtf8(bytes, offset, end))',
    replace: 'if (false)',
  },
  {
    name: 'payload-unmeasured',
    what: 'a payload may have other bytes than its rows',
    file: 'cloud-server/dist/sessions/forward.js',
    find: 'if (payload.length !== count * bytesEach)',
    replace: 'if (payload.length > count * bytesEach)',
  },
  {
    name: 'wants-unordered',
    what: 'the same row may be asked for twice',
    file: 'cloud-server/dist/sessions/forward.js',
    find: 'if (row <= previous)',
    replace: 'if (row < previous)',
  },
  {
    name: 'digits-too-high',
    what: 'a word that no encoder writes becomes numbers',
    file: 'shared/dist/codec/rotated-codec.js',
    find: 'const padded = new Float64Array(256).fill(NaN)',
    replace: 'const padded = new Float64Array(256)',
  },
  {
    name: 'odd-offset',
    what: 'f16 rows at an odd byte are read one byte off',
    file: 'shared/dist/codec/f16-codec.js',
    find: 'bytes.byteOffset % 2 === 0 ? bytes : new Uint8Array(bytes)',
    replace: 'bytes.byteOffset % 2 === 0 ? bytes : new Uint8Array(bytes.buffer, bytes.byteOffset - 1, bytes.length)',
  },
  {
    name: 'sign-lost',
    what: 'int8 codes are read without their sign',
    file: 'shared/dist/codec/int8-quantiser.js',
    find: '((source[at + i] << 24) >> 24) * scale',
    replace: 'source[at + i] * scale',
  },
];
