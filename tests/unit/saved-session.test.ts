import {
  checkModel,
  checkPolicy,
  Ledger,
  parseOptions,
  readSavedSession,
  restoreText,
  type SavedSession,
  saveSession,
  sessionOptionsSchema,
} from '@tandem/edge/testing';
import { crc32, type Engine, type ErrorCode, GREEDY, isTandemError, type Manifest } from '@tandem/shared';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { accepted, unverified } from '../support/ledger-entries.js';

const manifest = { fingerprint: 'f'.repeat(64), name: 'small', vocabularySize: 100, contextLength: 64 } as Manifest;
const engine = { info: { format: 'q8' } } as Engine;
const options = parseOptions(sessionOptionsSchema, 'createSession', {
  cloud: { url: 'ws://localhost:1', token: 'secret-credential' },
  draftLength: 4,
});
const rules = { ...GREEDY, temperature: 0.5, maxOutputTokens: 40, stopSequences: ['END'], emit: 'settled' as const };
const facts = { manifest, engine, policy: 'max probability 0.8', options, last: { options: rules, isFinished: false } };

function ledger(): Ledger {
  return new Ledger({ kind: 'rows', vocabularySize: 100, bytesPerRow: 4 });
}

/** A prompt of three tokens, `generated` settled ones by turns of device and cloud, and a draft. */
function told(generated = 5): Ledger {
  const text = ledger();
  text.begin([1, 2, 3]);
  for (let index = 0; index < generated; index++) {
    text.append({
      ...accepted(10 + index),
      entropy: index / 3,
      ...(index % 2 ? { origin: { kind: 'cloud' as const } } : {}),
    });
  }
  text.append(unverified(99));
  return text;
}

function codeOf(action: () => unknown): ErrorCode | undefined {
  try {
    action();
  } catch (error) {
    return isTandemError(error) ? error.code : undefined;
  }
  return undefined;
}

/** A body of one's own in a sound frame. */
function framed(body: string, version = 1): Uint8Array {
  const inner = new TextEncoder().encode(body);
  const bytes = new Uint8Array(12 + inner.length + 4);
  const view = new DataView(bytes.buffer);
  bytes.set([0x54, 0x44, 0x4d, 0x53, version]);
  view.setUint32(8, inner.length, true);
  bytes.set(inner, 12);
  view.setUint32(12 + inner.length, crc32(bytes.subarray(0, 12 + inner.length)), true);
  return bytes;
}

describe('what is saved', () => {
  test('is the settled text with its origins and rules; drafts are not', () => {
    const saved = readSavedSession(saveSession(told(), facts));
    expect(saved.tokens).toEqual([1, 2, 3, 10, 11, 12, 13, 14]);
    const restored = ledger();
    restoreText(restored, saved);
    expect([restored.length, restored.settled, restored.promptLength]).toEqual([8, 8, 3]);
    for (let position = 3; position < 8; position++) {
      const { origin, entropy } = told().entryAt(position)!;
      expect(restored.entryAt(position)).toMatchObject({ origin, entropy, state: 'settled' });
    }
    expect(saved.generation).toEqual({ ...rules, isFinished: false });
    // Saved again it is the same.
    expect(saveSession(restored, facts)).toEqual(saveSession(told(), facts));
  });

  test('has no credential, address or function in it, and little else', () => {
    const bytes = saveSession(told(1_000), { ...facts, manifest });
    const body = new TextDecoder().decode(bytes);
    expect(body).not.toMatch(/secret-credential|localhost/);
    expect(bytes.length).toBeLessThan(9_000);
  });

  test('the bytes may lie anywhere in their buffer', () => {
    const bytes = saveSession(told(), facts);
    const shifted = new Uint8Array(bytes.length + 3);
    shifted.set(bytes, 3);
    expect(readSavedSession(shifted.subarray(3))).toEqual(readSavedSession(bytes));
  });

  test('a session that has told nothing is saved, too', () => {
    const saved = readSavedSession(saveSession(ledger(), { ...facts, last: undefined }));
    const restored = ledger();
    restoreText(restored, saved);
    expect(restored.length).toBe(0);
  });
});

describe('what cannot be restored', () => {
  const bytes = saveSession(told(), facts);

  test('one changed byte anywhere', () => {
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const damaged = Uint8Array.from(bytes);
        damaged[at]! ^= change;
        expect(codeOf(() => readSavedSession(damaged))).toBe('SAVE_CORRUPT');
      }),
      { numRuns: 2_000, seed: 7 },
    );
  });

  test('any piece of it, and anything else', () => {
    for (let end = 0; end < bytes.length; end++) {
      expect(codeOf(() => readSavedSession(bytes.subarray(0, end)))).toBe('SAVE_CORRUPT');
    }
    const longer = new Uint8Array(bytes.length + 1);
    longer.set(bytes);
    for (const other of [longer, new Uint8Array(400), 'text', null, undefined, [...bytes]]) {
      expect(codeOf(() => readSavedSession(other as Uint8Array))).toBe('SAVE_CORRUPT');
    }
  });

  test('another version, and what to do then', () => {
    expect(() => readSavedSession(framed('{}', 2))).toThrow(
      /^SAVE_UNSUPPORTED: .*version 2, this one reads 1; restore/,
    );
  });

  test.each<[string, (saved: SavedSession) => unknown]>([
    ['no JSON', () => undefined],
    ['a field of its own', (saved) => ({ ...saved, more: 1 })],
    ['a token without an origin', (saved) => ({ ...saved, originOf: saved.originOf.slice(1) })],
    ['an origin that is not there', (saved) => ({ ...saved, originOf: saved.originOf.map(() => 9) })],
    ['a prompt longer than the text', (saved) => ({ ...saved, promptLength: 99 })],
    ['entropies that are missing', (saved) => ({ ...saved, entropies: [] })],
    ['a generation without a prompt', (saved) => ({ ...saved, promptLength: 0, originOf: Array(8).fill(0) })],
    ['a temperature that is none', (saved) => ({ ...saved, generation: { ...saved.generation, temperature: -1 } })],
  ])('a body with %s', (_, change) => {
    const saved = readSavedSession(bytes);
    expect(codeOf(() => readSavedSession(framed(JSON.stringify(change(saved)) ?? '{')))).toBe('SAVE_CORRUPT');
  });

  test('into another model, format, vocabulary or policy', () => {
    const saved = readSavedSession(bytes);
    expect(codeOf(() => checkModel(saved, manifest, 'q8'))).toBeUndefined();
    expect(codeOf(() => checkModel(saved, { ...manifest, fingerprint: '0' }, 'q8'))).toBe('MODEL_MISMATCH');
    expect(codeOf(() => checkModel(saved, manifest, 'f32'))).toBe('MODEL_MISMATCH');
    expect(codeOf(() => checkModel(saved, { ...manifest, vocabularySize: 14 }, 'q8'))).toBe('SAVE_CORRUPT');
    expect(codeOf(() => checkModel(saved, { ...manifest, contextLength: 7 }, 'q8'))).toBe('SAVE_CORRUPT');
    expect(codeOf(() => checkPolicy(saved, 'max probability 0.8'))).toBeUndefined();
    expect(codeOf(() => checkPolicy(saved, 'max probability 0.9'))).toBe('INVALID_OPTION');
  });
});
