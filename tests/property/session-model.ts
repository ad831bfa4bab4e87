import type { Messages } from '@tandem/shared';
import { choiceOf, statesOf } from './hash-model.js';

/** The server's half of a session as docs/PROTOCOL.md tells it: one session id, any number of connections, no I/O. */
export type Reply =
  | { to: number; kind: 'session-opened'; epoch: number; length: number }
  | { to: number; kind: 'verdict'; epoch: number; rows: number[]; tokens: number[]; mismatch: boolean; length: number }
  | { to: number; kind: 'credit' | 'context-rewind'; epoch: number; length: number }
  | { to: number; kind: 'pong'; nonce: number }
  | { to: number; kind: 'error'; code: string }
  | { to: number; kind: 'closed'; code: number };

/** Rules that a control experiment leaves out: a comparison that does not notice compares nothing. */
export type ModelPlant = 'hears-after-mismatch' | 'old-epochs-count' | 'token-twice' | 'rewinds-again' | 'rows-outlive';

type Forward = Pick<Messages['context-forward'], 'epoch' | 'from' | 'count' | 'want' | 'drafts'>;

interface ModelSession {
  rows: number[];
  rowsEpoch: number;
  epoch: number;
  isDeaf: boolean;
  isRewound: boolean;
  ledger: number;
  /** Number of the `session-opened` that its token came with. */
  token: number;
  peer: number | undefined;
  leftAtMs: number;
}

export const MODEL_LIMITS = { capacity: 100, resumeWindowMs: 1_000, openTimeoutMs: 10_000 };

export class SessionModel {
  readonly #plant: ModelPlant | undefined;
  readonly #connections = new Map<number, { kind: 'opening'; sinceMs: number } | { kind: 'open' }>();
  #session: ModelSession | undefined;
  #tokens = 0;
  #nowMs = 0;

  constructor(plant?: ModelPlant) {
    this.#plant = plant;
  }

  get hasSession(): boolean {
    return this.#session !== undefined;
  }

  get rows(): readonly number[] {
    return this.#session?.rows ?? [];
  }

  get length(): number {
    return this.rows.length;
  }

  get epoch(): number {
    return this.#session?.epoch ?? 0;
  }

  connect(connection: number): Reply[] {
    this.#connections.set(connection, { kind: 'opening', sinceMs: this.#nowMs });
    return [];
  }

  open(
    connection: number,
    asked: { epoch: number; ledger: number; token: number | undefined; isMine: boolean },
  ): Reply[] {
    const state = this.#connections.get(connection);
    if (!state) return [];
    if (state.kind === 'open') return this.#violation(connection);
    const known = this.#session;
    if (!asked.isMine) return this.#refuse(connection, 'UNAUTHORIZED', 4401);
    const isTaken = known?.peer !== undefined;
    const replies: Reply[] = isTaken ? this.#refuse(known.peer!, 'SESSION_TAKEN', 4409) : [];
    const hasToken = this.#plant === 'token-twice' || asked.token === known?.token;
    const isResumed = known !== undefined && known.ledger === asked.ledger && hasToken;
    const { rows, rowsEpoch } = isResumed ? known : { rows: [], rowsEpoch: 0 };
    const { epoch, ledger } = asked;
    const token = ++this.#tokens;
    this.#session = {
      rows,
      rowsEpoch,
      epoch,
      isDeaf: false,
      isRewound: false,
      ledger,
      token,
      peer: connection,
      leftAtMs: 0,
    };
    this.#connections.set(connection, { kind: 'open' });
    return [...replies, { to: connection, kind: 'session-opened', epoch: rowsEpoch, length: rows.length }];
  }

  forward(connection: number, forward: Forward, newRows: readonly number[]): Reply[] {
    const state = this.#connections.get(connection);
    if (!state) return [];
    const session = this.#session;
    if (state.kind === 'opening' || !session) return this.#violation(connection);
    const isStale = forward.epoch < session.epoch && this.#plant !== 'old-epochs-count';
    const isUnheard = forward.epoch === session.epoch && session.isDeaf && this.#plant !== 'hears-after-mismatch';
    if (isStale || isUnheard) return [];
    if (!isWellFormed(forward, newRows.length)) return this.#violation(connection);
    if (forward.epoch > session.epoch)
      Object.assign(session, { epoch: forward.epoch, isDeaf: false, isRewound: false });
    return this.#run(connection, session, forward, newRows);
  }

  ping(connection: number, nonce: number): Reply[] {
    return this.#connections.has(connection) ? [{ to: connection, kind: 'pong', nonce }] : [];
  }

  /** A message that only a server sends. */
  outOfPlace(connection: number): Reply[] {
    return this.#connections.has(connection) ? this.#violation(connection) : [];
  }

  garbage(connection: number): Reply[] {
    return this.#connections.has(connection) ? this.#refuse(connection, 'MALFORMED_FRAME', 4400) : [];
  }

  /** The client frees its session. */
  close(connection: number): Reply[] {
    const state = this.#connections.get(connection);
    if (!state) return [];
    if (state.kind === 'opening') return this.#violation(connection);
    this.#session = undefined;
    return this.#end(connection, 1000);
  }

  /** The client tells of an error of its own. */
  giveUp(connection: number): Reply[] {
    return this.#connections.has(connection) ? this.#end(connection, 1000) : [];
  }

  cut(connection: number): Reply[] {
    return this.#connections.has(connection) ? this.#end(connection, 1006) : [];
  }

  wait(ms: number): Reply[] {
    this.#nowMs += ms;
    const session = this.#session;
    const isOver = session?.peer === undefined && this.#nowMs - (session?.leftAtMs ?? 0) >= MODEL_LIMITS.resumeWindowMs;
    if (isOver && this.#plant !== 'rows-outlive') this.#session = undefined;
    return [...this.#connections].flatMap(([connection, state]) =>
      state.kind === 'opening' && this.#nowMs - state.sinceMs >= MODEL_LIMITS.openTimeoutMs
        ? this.#end(connection, 4408)
        : [],
    );
  }

  #run(to: number, session: ModelSession, forward: Forward, newRows: readonly number[]): Reply[] {
    const { epoch } = session;
    if (forward.from > session.rows.length) {
      const isTold = session.isRewound && this.#plant !== 'rewinds-again';
      session.isRewound = true;
      return isTold ? [] : [{ to, kind: 'context-rewind', epoch, length: session.rows.length }];
    }
    session.isRewound = false;
    session.rowsEpoch = epoch;
    session.rows = [...session.rows.slice(0, forward.from), ...newRows];
    if (forward.want.length === 0) return [{ to, kind: 'credit', epoch, length: session.rows.length }];
    const choices = forward.want.map((row) => choiceOf(statesOf(session.rows)[row]!));
    const wrong = choices.findIndex((token, i) => forward.drafts[i] !== undefined && forward.drafts[i] !== token);
    const mismatch = wrong >= 0;
    const count = mismatch ? wrong + 1 : choices.length;
    if (mismatch) session.rows.length = forward.want[wrong]! + 1;
    session.isDeaf = mismatch;
    const rows = forward.want.slice(0, count);
    return [
      { to, kind: 'verdict', epoch, rows, tokens: choices.slice(0, count), mismatch, length: session.rows.length },
    ];
  }

  #violation(to: number): Reply[] {
    return this.#refuse(to, 'PROTOCOL_VIOLATION', 4403);
  }

  #refuse(to: number, code: string, closeCode: number): Reply[] {
    return [{ to, kind: 'error', code }, ...this.#end(to, closeCode)];
  }

  #end(to: number, code: number): Reply[] {
    this.#connections.delete(to);
    if (this.#session?.peer === to) Object.assign(this.#session, { peer: undefined, leftAtMs: this.#nowMs });
    return [{ to, kind: 'closed', code }];
  }
}

function isWellFormed({ from, count, want, drafts }: Forward, rows: number): boolean {
  const end = from + count;
  const isAscending = want.every((row, i) => row >= from && row < end && (i === 0 || row > want[i - 1]!));
  const missing = want.length - drafts.length;
  const areDrafts = drafts.length === 0 || missing === 0 || missing === 1;
  return end <= MODEL_LIMITS.capacity && isAscending && areDrafts && rows === count;
}
