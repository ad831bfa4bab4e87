import { assert, type SamplingSettings, TandemError } from '@tandem/shared';
import * as limits from '@tandem/shared/limits';
import type { Controller, Moment } from '../control/controller.js';
import type { EventStream } from '../events.js';
import type { Mode } from '../exit/decision.js';
import type { Ledger } from '../ledger/ledger.js';
import type { LedgerEntry } from '../ledger/ledger-entry.js';
import type { Ask } from '../link/ask.js';
import type { CloudPeer } from '../link/cloud-peer.js';
import type { Drafter } from './drafter.js';

/** One generation: what the loop needs to know. */
export interface DecodeRun {
  mode: Mode;
  onCloudUnavailable: 'degrade' | 'wait' | 'fail';
  ledger: Ledger;
  /** Absent in cloud-only mode. */
  drafter: Drafter | undefined;
  /** Absent in device-only mode. */
  peer: CloudPeer | undefined;
  events: EventStream;
  sampling: SamplingSettings;
  controller: Controller;
  /** Ledger length at which the output is full. */
  endLength: number;
  eosTokenIds: ReadonlySet<number>;
  signal: AbortSignal;
  /** Whether the caller wants to hear of drafts. */
  emitsDrafts: boolean;
  /** Told of every wait for the cloud. */
  waited(ms: number): void;
  nowMs(): number;
}

/** A token that is final, or word that there is a new draft in the ledger. */
export type Decoded = { kind: 'settled'; entry: LedgerEntry } | { kind: 'drafted' };

/**
 * The decode loop: hand out what is settled; else do what the controller says. Verdicts change the ledger whenever they
 * come; the loop only looks at it.
 */
export async function* decode(run: DecodeRun): AsyncGenerator<Decoded> {
  const { ledger, drafter, peer, signal, controller } = run;
  let emitted = ledger.promptLength;
  while (true) {
    const version = peer?.version ?? 0;
    // A larger model does not know where the output is full.
    while (emitted < Math.min(ledger.settled, run.endLength)) {
      const entry = ledger.entryAt(emitted++);
      assert(entry, 'a settled token behind the prompt has an entry');
      yield { kind: 'settled', entry };
      if (run.eosTokenIds.has(entry.token)) return;
    }
    if (emitted >= run.endLength) return;
    signal.throwIfAborted();
    const cloud = cloudState(run);
    const request = { mode: run.mode, cloud, sampling: run.sampling, signal };
    switch (controller.next(momentOf(run, cloud))) {
      case 'draft':
        await drafter?.draft(request);
        if (run.emitsDrafts && ledger.length > ledger.settled) yield { kind: 'drafted' };
        break;
      case 'branch':
        await drafter?.draftBranch(request);
        break;
      case 'send':
        if (peer) await send(run, peer);
        break;
      case 'wait':
        await waitForCloud(run, version, cloud);
    }
  }
}

function momentOf({ ledger, drafter, peer, endLength, eosTokenIds }: DecodeRun, cloud: Moment['cloud']): Moment {
  const canDraft = drafter?.canDraft ?? false;
  return { ledger, canDraft, cloud, canSend: peer?.canSend ?? false, endLength, eosTokenIds };
}

/** `away`: the session goes on without the cloud until it is back. */
function cloudState(run: DecodeRun): 'there' | 'away' {
  const { peer, onCloudUnavailable } = run;
  if (!peer) return 'there';
  // A wrong model or credential is no outage: going on quietly would hide a mistake of the caller.
  if (peer.state === 'failed') throw peer.error ?? new TandemError('CLOUD_UNAVAILABLE', 'the connection failed');
  if (peer.state !== 'unavailable' || onCloudUnavailable === 'wait') return 'there';
  if (onCloudUnavailable === 'degrade' && run.drafter?.canDraft) return 'away';
  throw new TandemError('CLOUD_UNAVAILABLE', 'the server cannot be reached; is tandem-cloud running at cloud.url?', {
    cause: peer.error,
  });
}

async function send(run: DecodeRun, peer: CloudPeer): Promise<void> {
  await run.drafter?.catchUp();
  peer.flush(ask(run));
}

async function waitForCloud(run: DecodeRun, version: number, cloud: 'there' | 'away'): Promise<void> {
  const { ledger, peer } = run;
  assert(peer, 'only a session with a cloud has something to wait for');
  if (cloud === 'away') {
    const tokens = ledger.settleOnDevice();
    if (tokens > 0) run.events.emit({ kind: 'degraded', tokens });
    return;
  }
  await send(run, peer);
  // Rows that went up before anybody wanted a verdict on them: nothing to send, nothing under way.
  if (peer.version === version && peer.state === 'open' && !peer.isAsked) {
    peer.askAgain();
    peer.flush(ask(run));
  }
  const startedMs = run.nowMs();
  await peer.changedSince(version, run.signal);
  run.waited(run.nowMs() - startedMs);
}

function ask({ ledger, mode, sampling, drafter, endLength }: DecodeRun): Ask {
  const hasDrafts = ledger.length > ledger.settled;
  const extend = mode === 'cloud-only' ? Math.min(endLength - ledger.length - 1, limits.EXTEND_TOKENS_MAX) : 0;
  return { sampling, askLast: !hasDrafts || !drafter, extend };
}
