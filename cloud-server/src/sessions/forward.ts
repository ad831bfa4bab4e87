import {
  bytesPerTokenId,
  type ContextKind,
  decodeTokenIds,
  type EngineInfo,
  type EngineInput,
  GREEDY,
  type Messages,
  type RowCodecName,
  rowCodec,
  type SamplingSettings,
  TandemError,
} from '@tandem/shared';
import { NO_TRACING, type Span, type Tracing } from '../tracing.js';

/** What a session was opened with, the epoch apart. Another declaration makes another session. */
export interface Declaration {
  context: ContextKind;
  codec: RowCodecName;
  /** Positions that the session may come to. */
  capacity: number;
  /** Whether a larger model may write in it. */
  largerModel: boolean;
  /** Whose rows these are: another ledger's text is another text. */
  ledger: number | undefined;
}

/** One engine step that a session owes: a forward of the client, or a token that the server adds on its own. */
export interface Forward {
  origin: 'client' | 'extension';
  from: number;
  /** Undefined for a forward that only truncates. */
  input: EngineInput | undefined;
  want: number[];
  drafts: number[];
  /** Token ids of the rows, where a larger model may need them; empty elsewhere. */
  tokens: readonly number[];
  sampling: SamplingSettings;
  /** Tokens to add after this one. */
  extend: number;
  /** So many declared blocks are what the session now begins with. */
  prefixBlocks: number;
  /** Aborted once nobody waits for the answer. */
  cancel: AbortController;
  /** From now to its answer, for whoever traces this server. */
  span: Span;
}

/** Whether somebody waits for its answer. */
export function isAwaited({ cancel }: Forward): boolean {
  return !cancel.signal.aborted;
}

/**
 * Checks a `context-forward` against the session's declaration; what depends on how far the session got is checked when
 * its turn comes. Copies the payload, so that nothing holds on to the frame.
 * @throws TandemError PROTOCOL_VIOLATION
 */
export function readForward(
  control: Messages['context-forward'],
  payload: Uint8Array,
  declaration: Declaration,
  info: EngineInfo,
  tracing: Tracing = NO_TRACING,
): Forward {
  checkRange(control, declaration);
  checkWants(control);
  checkExtend(control, declaration);
  if (control.asTokens && control.from !== 0)
    throw violation(`token ids from ${control.from}; rows made here begin at 0`);
  return {
    origin: 'client',
    from: control.from,
    input: control.count === 0 ? checkEmpty(payload) : readInput(control, payload, declaration, info),
    want: control.want,
    drafts: control.drafts,
    tokens: readTokens(control, payload, declaration, info),
    sampling: control.sampling ?? GREEDY,
    extend: control.extend ?? 0,
    prefixBlocks: control.prefix ?? 0,
    cancel: new AbortController(),
    span: tracing.begin('tandem.forward', {
      origin: 'client',
      context: declaration.context,
      codec: control.asTokens ? 'tokens' : declaration.codec,
      rows: control.count,
      bytes: payload.length,
      wants: control.want.length,
    }),
  };
}

/** The step behind a verdict that the server takes on its own: the token it chose becomes the next input. */
export function extensionOf(
  { sampling, extend }: Forward,
  position: number,
  token: number,
  tracing: Tracing = NO_TRACING,
): Forward {
  return {
    origin: 'extension',
    from: position,
    input: { kind: 'tokens', tokens: Int32Array.of(token) },
    want: [position],
    drafts: [],
    tokens: [token],
    sampling,
    extend: extend - 1,
    prefixBlocks: 0,
    cancel: new AbortController(),
    span: tracing.begin('tandem.forward', { origin: 'extension', rows: 1, wants: 1 }),
  };
}

function checkRange({ from, count }: Messages['context-forward'], { capacity }: Declaration): void {
  if (from + count > capacity) {
    throw violation(`rows ${from} to ${from + count}, the session was opened for ${capacity}`);
  }
}

function checkWants({ from, count, want, drafts }: Messages['context-forward']): void {
  let previous = from - 1;
  for (const row of want) {
    if (row <= previous) throw violation(`want ${row} after ${previous}; wants ascend, from ${from} on`);
    if (row >= from + count) throw violation(`want ${row}, the forward ends before ${from + count}`);
    previous = row;
  }
  const missing = want.length - drafts.length;
  if (drafts.length > 0 && missing !== 0 && missing !== 1) {
    throw violation(`${drafts.length} drafts for ${want.length} wants; only the last may be missing`);
  }
}

function checkExtend({ from, count, want, extend }: Messages['context-forward'], { context }: Declaration): void {
  if (!extend) return;
  if (context !== 'tokens') throw violation('extend in a session of rows: the server lacks the device stages there');
  if (want.length === 0 || want.at(-1) !== from + count - 1) throw violation('extend without a want at the last row');
}

/** The text behind the rows: the payload itself or, beside rows, a list of its own. */
function readTokens(
  { count, tokens }: Messages['context-forward'],
  payload: Uint8Array,
  declaration: Declaration,
  info: EngineInfo,
): readonly number[] {
  const isListed = declaration.largerModel && declaration.context === 'rows';
  if (tokens && !isListed) throw violation('tokens, which belong beside rows that a larger model may go on from');
  if (!declaration.largerModel) return [];
  if (!isListed) return count === 0 ? [] : [...decodeTokenIds(payload, info.vocabularySize)];
  const given = tokens ?? [];
  if (given.length !== count) throw violation(`${given.length} tokens for ${count} rows`);
  const stray = given.find((token) => token >= info.vocabularySize);
  if (stray !== undefined) throw violation(`token id ${stray}, the vocabulary has ${info.vocabularySize}`);
  return given;
}

function readInput(
  { count, asTokens }: Messages['context-forward'],
  payload: Uint8Array,
  declaration: Declaration,
  info: EngineInfo,
): EngineInput {
  if (declaration.context === 'tokens' || asTokens) {
    checkBytes(payload, count, bytesPerTokenId(info.vocabularySize));
    return { kind: 'tokens', tokens: decodeTokenIds(payload, info.vocabularySize) };
  }
  checkBytes(payload, count, rowCodec(declaration.codec).bytesPerRow(info.width));
  return { kind: 'encoded-rows', bytes: payload.slice() };
}

function checkBytes(payload: Uint8Array, count: number, bytesEach: number): void {
  if (payload.length !== count * bytesEach) {
    throw violation(`payload of ${payload.length} bytes, ${count} times ${bytesEach} expected`);
  }
}

function checkEmpty(payload: Uint8Array): undefined {
  checkBytes(payload, 0, 0);
  return undefined;
}

function violation(what: string): TandemError {
  return new TandemError('PROTOCOL_VIOLATION', `context-forward: ${what}`);
}
