import {
  cloudOptionsSchema,
  generateOptionsSchema,
  loadOptionsSchema,
  parseOptions,
  sessionOptionsSchema,
} from '@tandem/edge/testing';
import { limits } from '@tandem/shared';
import { describe, expect, test } from 'vitest';

const cloud = { url: 'ws://localhost:8787' };
const parseSession = (options: unknown) => parseOptions(sessionOptionsSchema, 'createSession', options);
const parseGenerate = (options: unknown) => parseOptions(generateOptionsSchema, 'generate', options);

describe('defaults', () => {
  test('of a session', () => {
    expect(parseSession({ cloud })).toEqual({
      cloud: { ...cloud, unavailableAfterMs: 5_000 },
      mode: 'exact',
      draftLength: 32,
      draftFloor: 0,
      branches: true,
      cloudPrice: 0.45,
      onCloudUnavailable: 'degrade',
      largerModel: 'never',
      promptAs: 'auto',
      likelyToReturn: false,
    });
  });

  test('of a generation: greedy', () => {
    const sampling = { temperature: 0, topK: 0, topP: 1, minP: 0, seed: 0 };
    expect(parseGenerate(undefined)).toEqual({ ...sampling, maxOutputTokens: 128, stopSequences: [], emit: 'settled' });
  });

  test('of loading', () => {
    expect(parseOptions(loadOptionsSchema, 'EdgeModel.load', {})).toEqual({ device: 'auto', storage: 'auto' });
  });
});

test('an unknown option is named with those that exist', () => {
  expect(() => parseGenerate({ maxTokens: 5 })).toThrow(
    'INVALID_OPTION: generate: unknown option maxTokens; known: temperature, topK, topP, minP, seed, logprobs, maxOutputTokens, ' +
      'stopSequences, emit, signal',
  );
  expect(() => parseSession({ cloud, modus: 'exact' })).toThrow(/unknown option modus; known: cloud, mode, /);
});

test('an unknown option of a nested object is named with those that exist there', () => {
  expect(() => parseSession({ cloud: { ...cloud, uri: 'x' } })).toThrow(
    'INVALID_OPTION: createSession: unknown option cloud.uri; known: url, token, unavailableAfterMs, wrapTransport',
  );
});

test.each<[string, unknown, RegExp]>([
  ['no server in a mode that needs one', {}, /createSession: cloud: this mode needs cloud/],
  ['an http address', { cloud: { url: 'http://localhost' } }, /cloud.url: a ws:\/\/ or wss:\/\/ address/],
  ['no address', { cloud: {} }, /cloud.url: /],
  ['a mode that does not exist', { cloud, mode: 'fast' }, /createSession: mode: .*exact/],
  ['a codec that does not exist', { cloud, codec: 'int3' }, /createSession: codec: .*int8/],
  ['more drafts than the limit', { cloud, draftLength: limits.DRAFT_LENGTH_MAX + 1 }, /draftLength: .*32/],
  ['a probability above 1', { cloud, threshold: 1.5 }, /createSession: threshold: /],
  ['no threshold at all', { cloud, threshold: [] }, /createSession: threshold: /],
  ['a policy that is none', { cloud, policy: {} }, /policy: an exit policy/],
  ['a capacity of one', { cloud, capacity: 1 }, /capacity: /],
  ['a token that is neither text nor function', { cloud: { ...cloud, token: 5 } }, /cloud.token: /],
  ['something that is no object', 5, /createSession: options: /],
])('refuses %s', (_what, options, message) => {
  expect(() => parseSession(options)).toThrow(message);
  expect(() => parseSession(options)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
});

test.each<[string, unknown, RegExp]>([
  ['no output', { maxOutputTokens: 0 }, /generate: maxOutputTokens: /],
  ['a negative temperature', { temperature: -1 }, /generate: temperature: /],
  ['topP 0, which would keep nothing', { topP: 0 }, /generate: topP: /],
  ['minP 1, which would keep only ties', { minP: 1 }, /generate: minP: /],
  ['half a seed', { seed: 0.5 }, /generate: seed: /],
  ['an empty stop sequence', { stopSequences: [''] }, /generate: stopSequences.0: /],
  ['a stop sequence beyond the limit', { stopSequences: ['x'.repeat(257)] }, /generate: stopSequences.0: /],
  ['too many stop sequences', { stopSequences: Array(17).fill('x') }, /generate: stopSequences: /],
  ['a signal that is none', { signal: {} }, /generate: signal: /],
])('refuses %s', (_what, options, message) => {
  expect(() => parseGenerate(options)).toThrow(message);
});

test('device-only needs no server', () => {
  expect(parseSession({ mode: 'device-only' }).cloud).toBeUndefined();
});

test('tokens may be text or minted', () => {
  for (const token of ['secret', async () => 'secret']) {
    expect(parseOptions(cloudOptionsSchema, 'cloud', { ...cloud, token }).token).toBe(token);
  }
});
