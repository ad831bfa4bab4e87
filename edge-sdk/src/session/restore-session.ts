import { type Manifest, samplingSettingsSchema, TandemError } from '@tandem/shared';
import * as limits from '@tandem/shared/limits';
import { integer, list, text } from '@tandem/shared/schema';
import * as z from 'zod/mini';
import { ENTROPY_HISTORY } from '../exit/exit-policy.js';
import type { Ledger } from '../ledger/ledger.js';
import { cloudEntry } from '../ledger/ledger-entry.js';
import type { LastGeneration } from './last-generation.js';
import { corrupt, unframe } from './saved-frame.js';

/** The way back from bytes; saved-frame.ts has the layout. In a file of its own: most pages never load it. */
const tokenId = integer(0, 0xffffffff);
const originSchema = z.union([
  z.strictObject({
    kind: z.literal('exit'),
    stage: integer(1, 64),
    verified: z.boolean(),
    degraded: z.boolean(),
  }),
  z.strictObject({ kind: z.literal('cloud') }),
  z.strictObject({ kind: z.literal('larger-model'), model: text(limits.MODEL_NAME_CHARS_MAX) }),
]);

const savedSchema = z.strictObject({
  /** Manifest fingerprint and weight format: other weights tell another story. */
  model: text(128),
  format: text(16),
  /** Name of the exit policy, with its numbers. */
  policy: text(4_096),
  /** As given to `createSession`; checked there once more. */
  options: z.custom<Record<string, unknown>>((value) => typeof value === 'object' && value !== null, 'an object'),
  promptLength: integer(0),
  /** Prompt, then what is settled. */
  tokens: list(tokenId, limits.SAVED_TOKENS_MAX),
  /** Each kind of origin once, and for every generated token which of them. */
  origins: list(originSchema, 1_024),
  originOf: list(integer(0, 1_023), limits.SAVED_TOKENS_MAX),
  /** Of the last generated tokens; rolling policies look back at them. */
  entropies: list(z.number(), ENTROPY_HISTORY),
  /** The generation that made the last tokens. */
  generation: z.optional(
    z.strictObject({
      ...samplingSettingsSchema.shape,
      maxOutputTokens: integer(1),
      stopSequences: list(text(limits.STOP_SEQUENCE_CHARS_MAX), limits.STOP_SEQUENCES_MAX),
      emit: z.enum(['settled', 'provisional']),
      isFinished: z.boolean(),
    }),
  ),
});

export type SavedSession = z.output<typeof savedSchema>;

/** @throws TandemError SAVE_CORRUPT, SAVE_UNSUPPORTED */
export function readSavedSession(bytes: Uint8Array): SavedSession {
  const parsed = savedSchema.safeParse(parseJson(unframe(bytes)));
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw corrupt(`${issue?.path.join('.') || 'its body'}: ${issue?.message}`);
  }
  const saved = parsed.data;
  const { tokens, promptLength, originOf, origins, entropies } = saved;
  const generated = tokens.length - promptLength;
  const isWhole =
    originOf.length === generated &&
    entropies.length === Math.min(generated, ENTROPY_HISTORY) &&
    originOf.every((index) => index < origins.length) &&
    (promptLength > 0 || saved.generation === undefined);
  if (!isWhole)
    throw corrupt(`${tokens.length} tokens, ${promptLength} of a prompt, ${originOf.length} with an origin`);
  return saved;
}

/** @throws TandemError MODEL_MISMATCH, SAVE_CORRUPT */
export function checkModel(saved: SavedSession, manifest: Manifest, format: string): void {
  const { fingerprint, name, vocabularySize, contextLength } = manifest;
  if (saved.model !== fingerprint) {
    const message = `the session was saved with model ${saved.model}, this is ${name}, ${fingerprint}; load the same bundle`;
    throw new TandemError('MODEL_MISMATCH', message);
  }
  if (saved.format !== format) {
    const message = `the session was saved in ${saved.format}, this model is loaded in ${format}; load it with that format`;
    throw new TandemError('MODEL_MISMATCH', message);
  }
  const stray = saved.tokens.find((token) => token >= vocabularySize);
  if (stray !== undefined) throw corrupt(`token id ${stray}, the vocabulary has ${vocabularySize}`);
  if (saved.tokens.length > contextLength) {
    throw corrupt(`${saved.tokens.length} tokens, the model's context is ${contextLength}`);
  }
}

/** @throws TandemError INVALID_OPTION */
export function checkPolicy(saved: SavedSession, name: string): void {
  if (saved.policy === name) return;
  const message = `restoreSession: the text was told with policy ${saved.policy}, now it would be ${name}; give the same`;
  throw new TandemError('INVALID_OPTION', message);
}

/** Tells the text of a saved session again, so that the ledger stands where it stood. Returns whose text it is. */
export function restoreText(ledger: Ledger, saved: SavedSession): LastGeneration | undefined {
  const { tokens, promptLength, origins, originOf, entropies } = saved;
  if (promptLength === 0) return undefined;
  ledger.begin(tokens.slice(0, promptLength));
  const unknown = originOf.length - entropies.length;
  for (const [index, token] of tokens.slice(promptLength).entries()) {
    const entropy = entropies[index - unknown] ?? 0;
    ledger.append({ ...cloudEntry(token), origin: origins[originOf[index]!]!, entropy });
  }
  if (!saved.generation) return undefined;
  const { isFinished, ...options } = saved.generation;
  return { options, isFinished };
}

function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    return undefined;
  }
}
