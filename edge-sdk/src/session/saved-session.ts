import type { Engine, Manifest } from '@tandem/shared';
import { ENTROPY_HISTORY } from '../exit/exit-policy.js';
import type { Ledger } from '../ledger/ledger.js';
import type { ParsedSessionOptions } from '../options.js';
import type { LastGeneration } from './last-generation.js';
import type { SavedSession } from './restore-session.js';
import { frame } from './saved-frame.js';

export interface SessionFacts {
  manifest: Manifest;
  engine: Engine;
  policy: string;
  options: ParsedSessionOptions;
  last: LastGeneration | undefined;
}

/**
 * A session as bytes. What is kept is what cannot be made again: the settled tokens, who decided them, and the rules of
 * the text. Rows and KV follow from the tokens, bit for bit, and come back when the stages run over them once; the server's
 * copy is sent anew. So nothing in it depends on a connection, and it may be restored twice, or beside its original.
 *
 * Drafts are not taken down: they are made again.
 */
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
