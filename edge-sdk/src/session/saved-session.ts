import { crc32, type Engine, type Manifest } from '@tandem/shared';
import { ENTROPY_HISTORY } from '../exit/exit-policy.js';
import type { Ledger } from '../ledger/ledger.js';
import type { ParsedGenerateOptions, ParsedSessionOptions } from '../options.js';
import type { SavedSession } from './restore-session.js';

/**
 * A session as bytes. What is kept is what cannot be made again: the settled tokens, who decided them, and the rules of
 * the text. Rows and KV follow from the tokens, bit for bit, and come back when the stages run over them once; the server's
 * copy is sent anew. So nothing in it depends on a connection, and it may be restored twice, or beside its original.
 *
 *     "TDMS" | version u8 | 0 0 0 | body length u32 | body: JSON in UTF-8 | CRC-32 of all before, u32     (little-endian)
 *
 * All versions keep this frame, so that damage is told from age.
 */
export const MAGIC = [0x54, 0x44, 0x4d, 0x53];
export const VERSION = 1;
export const HEAD_BYTES = 12;
export const CHECKSUM_BYTES = 4;

/** The generation that a session's last tokens belong to. */
export interface LastGeneration {
  options: Omit<ParsedGenerateOptions, 'signal'>;
  isFinished: boolean;
}

export interface SessionFacts {
  manifest: Manifest;
  engine: Engine;
  policy: string;
  options: ParsedSessionOptions;
  last: LastGeneration | undefined;
}

/** Takes down what is settled. Drafts are not: they are made again. */
export function saveSession(ledger: Ledger, { manifest, engine, policy, options, last }: SessionFacts): Uint8Array {
  // Functions and credentials stay with the app, which gives them again.
  const { cloud, policy: _policy, onCloudUnavailable, ...rules } = options;
  const { promptLength, settled } = ledger;
  const generated = Array.from({ length: settled - promptLength }, (_, index) => ledger.entryAt(promptLength + index)!);
  const names = generated.map(({ origin }) => JSON.stringify(origin));
  const distinct = [...new Set(names)];
  const saved: SavedSession = {
    model: manifest.fingerprint,
    format: engine.info.format,
    policy,
    options: rules,
    promptLength,
    tokens: Array.from({ length: settled }, (_, position) => ledger.tokenAt(position)!),
    origins: distinct.map((name) => JSON.parse(name)),
    originOf: names.map((name) => distinct.indexOf(name)),
    entropies: generated.slice(-ENTROPY_HISTORY).map(({ entropy }) => entropy),
    ...(last ? { generation: { ...last.options, isFinished: last.isFinished } } : {}),
  };
  return frame(new TextEncoder().encode(JSON.stringify(saved)));
}

function frame(body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEAD_BYTES + body.length + CHECKSUM_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(MAGIC);
  bytes[MAGIC.length] = VERSION;
  view.setUint32(HEAD_BYTES - 4, body.length, true);
  bytes.set(body, HEAD_BYTES);
  const end = HEAD_BYTES + body.length;
  view.setUint32(end, crc32(bytes.subarray(0, end)), true);
  return bytes;
}
