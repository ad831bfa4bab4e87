import { assert, type Messages, TandemError } from '@tandem/shared';
import { Branch } from './branch.js';
import { CloudCopy } from './cloud-copy.js';
import { cloudEntry, confirm, type LedgerEntry, settleUnasked } from './ledger-entry.js';
import type { Forward, JudgedDraft, LedgerChange, LineMark } from './ledger-types.js';
import { RowStore } from './row-store.js';
import { Upstream, type UpstreamKind } from './upstream.js';
import { wantsOf } from './wants.js';

/**
 * The session's one record: tokens, rows at the cut, what the cloud acknowledged. Pure: no clock, no I/O.
 *
 * Row `j` is made from token `j` and everything before it; the logits of row `j` choose token `j + 1`. Always:
 * `acked ≤ sent ≤ cutLength ≤ fed ≤ length` and `settled ≤ length`. Every roll-back, and everything else that makes
 * messages under way meaningless, raises the epoch; what carries an older one is ignored.
 */
export class Ledger {
  readonly #upstream: Upstream;
  readonly #rows: RowStore;
  readonly #tokens: number[] = [];
  /** Entry of token `promptLength + i`. */
  #entries: LedgerEntry[] = [];
  #promptLength = 0;
  #settled = 0;
  #fed = 0;
  readonly #copy = new CloudCopy();
  #main: LineMark = { sharedTo: Number.POSITIVE_INFINITY, revision: 0 };
  #branch: Branch | undefined;

  constructor(upstream: UpstreamKind) {
    this.#upstream = new Upstream(upstream);
    this.#rows = new RowStore(this.#upstream.bytesPerRow);
  }

  get length(): number {
    return this.#tokens.length;
  }
  get promptLength(): number {
    return this.#promptLength;
  }
  /** Length of the prefix that is final. */
  get settled(): number {
    return this.#settled;
  }
  /** Rows at the cut exist for `[0, cutLength)`; token ids go up as soon as they are there. */
  get cutLength(): number {
    return this.#upstream.kind.kind === 'rows' ? this.#rows.length : this.#tokens.length;
  }
  /** Positions that the device's stages were given and that are still right; a roll-back lowers it at once. */
  get fed(): number {
    return this.#fed;
  }
  get sent(): number {
    return this.#copy.sent;
  }
  get acked(): number {
    return this.#copy.acked;
  }
  get epoch(): number {
    return this.#copy.epoch;
  }

  tokenAt(position: number): number | undefined {
    return this.#tokens[position];
  }

  /** The generated token at `position`; undefined for the prompt and behind the end. */
  entryAt(position: number, line = this.#main): LedgerEntry | undefined {
    const branch = this.#branchOf(line);
    if (branch && position >= branch.at) return branch.entries[position - branch.at];
    return this.#entries[position - this.#promptLength];
  }

  /**
   * Starts a new text. What it shares with the old one stays, except the last prompt token: its row must run again,
   * because nobody kept its logits. Returns the length that was kept.
   */
  begin(prompt: readonly number[]): number {
    assert(prompt.length > 0, 'a prompt has at least one token');
    let shared = 0;
    while (shared < prompt.length - 1 && this.#tokens[shared] === prompt[shared]) shared++;
    this.#truncate(shared);
    for (const token of prompt.slice(shared)) this.#tokens.push(token);
    this.#entries = [];
    this.#promptLength = prompt.length;
    this.#settled = prompt.length;
    this.#copy.raiseEpoch();
    return shared;
  }

  /** The line that this ledger's own members speak of. Another mark means that a branch has taken its place. */
  get main(): LineMark {
    return this.#main;
  }
  get branch(): Branch | undefined {
    return this.#branch;
  }

  /** Length of a line; undefined once it is gone. */
  lengthOf(line: LineMark): number | undefined {
    return line === this.#main ? this.length : this.#branchOf(line)?.length;
  }

  /** Opens a branch with the token that came second at `at`, where an unverified draft is. Replaces an older branch. */
  fork(at: number): Branch {
    const draft = this.entryAt(at);
    assert(draft?.state === 'unverified', 'a branch competes with a draft that waits for a verdict');
    this.#branch = new Branch(at, { ...cloudEntry(draft.second), entropy: draft.entropy }, this.#upstream.bytesPerRow);
    return this.#branch;
  }

  /** The tokens of a line that the device's stages have not seen, up to `end`; from now on they have. */
  feed(end: number, line = this.#main): { from: number; tokens: Int32Array } {
    if (line !== this.#main) return this.#branchOf(line)!.feed(end);
    const from = this.#fed;
    this.#fed = Math.max(from, end);
    return { from, tokens: Int32Array.from(this.#tokens.slice(from, end)) };
  }

  /** The step that was fed from `from` on has failed: the stages have to see these tokens again, and give their rows. */
  unfeed(from: number): void {
    this.#branch = undefined;
    this.#fed = Math.min(this.#fed, from);
    this.#rows.truncate(this.#fed);
    if (this.#fed >= this.sent) return;
    this.#copy.truncate(this.#fed);
    this.#copy.raiseEpoch();
  }

  /** Appends a token to a line. An accepted one settles once everything before it has. */
  append(entry: LedgerEntry, line = this.#main): void {
    if (line !== this.#main) return void this.#branchOf(line)?.entries.push(entry);
    this.#tokens.push(entry.token);
    this.#entries.push(entry);
    this.#advance();
  }

  /** Tokens behind the settled ones, oldest first. */
  get drafts(): number[] {
    return this.#tokens.slice(this.#settled);
  }

  /**
   * Rows that came out at the cut, for positions from `from` on, while the stages worked on `line`. What lies before the
   * fork belongs to both lines. Rows behind `fed` rest on tokens that are gone.
   */
  addRows(from: number, rows: Uint8Array, line = this.#main): void {
    const shared = Math.max(0, line.sharedTo - from) * this.#upstream.bytesPerRow;
    const own = rows.subarray(0, Math.min(shared, rows.length));
    this.#branchOf(line)?.rows.append(rows.subarray(own.length));
    if (from >= this.#fed || own.length === 0) return;
    assert(from === this.#rows.length, `rows from ${from}, ${this.#rows.length} are there: a hole or a double`);
    this.#rows.append(own);
    this.#rows.truncate(this.#fed);
  }

  /**
   * The next rows for the cloud, with a want at every row whose next token is an unverified draft.
   * `askLast`: also want the token after the last row, for which there is no draft. `mayBeTokens`: whether a prompt had
   * better go up as token ids, of which the server makes the rows.
   */
  nextForward(askLast: boolean, mayBeTokens = false): Forward | undefined {
    const from = this.sent;
    if (this.cutLength <= from) return undefined;
    const { to, asTokens } = this.#upstream.next(from, this.cutLength, this.#promptLength, mayBeTokens);
    const { want, drafts } = wantsOf(from, to, (row) => this.entryAt(row + 1), askLast && to === this.length);
    this.#copy.sent = to;
    const payload = this.#upstream.payload(this.#tokens, this.#rows, from, to, asTokens);
    return { epoch: this.epoch, from, count: to - from, want, drafts, ...(asTokens ? { asTokens } : {}), payload };
  }

  /** Judges drafts by the cloud's own choices. @throws TandemError PROTOCOL_VIOLATION for rows that were not sent. */
  applyVerdict(verdict: Messages['verdict']): LedgerChange {
    if (verdict.epoch !== this.epoch) return { kind: 'ignored' };
    const judged: JudgedDraft[] = [];
    for (const [index, row] of verdict.rows.entries()) {
      const token = verdict.tokens[index];
      const position = row + 1;
      const logprobs = verdict.logprobs?.[index];
      // In token ids the server goes on alone, and judges rows that it made itself.
      const rows = this.#upstream.kind.kind === 'rows' ? this.sent : this.length;
      if (token === undefined || position < this.#promptLength || row >= rows) {
        throw new TandemError('PROTOCOL_VIOLATION', `verdict on row ${row}, the server was sent ${rows}`);
      }
      const entry = this.entryAt(position);
      // What is settled stays, whatever a server says: only a draft that waits for a verdict can be wrong.
      if (entry?.state === 'unverified') judged.push({ entry, isRight: entry.token === token });
      if (entry?.state === 'unverified' && entry.token !== token)
        return this.#rollBack(position, entry, cloudEntry(token, logprobs), judged);
      if (entry) confirm(entry, logprobs);
      else this.append(cloudEntry(token, logprobs));
    }
    // A server that extends on its own holds rows that we never sent.
    if (this.#upstream.kind.kind === 'tokens')
      this.#copy.sent = Math.max(this.sent, Math.min(verdict.length, this.length));
    this.acknowledge(verdict.epoch, verdict.length);
    this.#advance();
    return { kind: 'confirmed', tokens: verdict.rows.length, judged };
  }

  acknowledge(epoch: number, length: number): void {
    this.#copy.acknowledge(epoch, length);
  }

  /**
   * The server holds only `length` rows: go on from there. Returns whether anything has to be sent again.
   * A second forward under way would be answered by a second rewind, so what was sent before counts no more.
   */
  rewind(epoch: number, length: number): boolean {
    return this.#copy.rewind(epoch, length);
  }

  /**
   * A new connection, or silence: nothing under way counts. Of the server's `length` rows only acknowledged ones are known
   * to be ours, and `shared` ones; none of a server that we left and came back to: `rowsEpoch` is before the last answer.
   */
  restart(length: number, rowsEpoch: number, shared = 0): void {
    this.#copy.restart(length, rowsEpoch, shared);
  }

  /** The row before the first unsettled token goes up again, so that its want is asked anew. */
  askAgain(): void {
    this.restart(Math.max(0, this.#settled - 1), this.epoch);
  }

  /** Nobody is there to ask: drafts become final as they are, marked, and are never taken back. Returns how many. */
  settleOnDevice(): number {
    const unasked = this.#entries.filter(({ state }) => state === 'unverified');
    for (const entry of unasked) settleUnasked(entry);
    if (unasked.length > 0) this.#copy.raiseEpoch();
    this.#advance();
    return unasked.length;
  }

  /** Drops what is not settled, and with it everything under way. */
  cancel(): void {
    this.#truncate(this.#settled);
    this.#copy.raiseEpoch();
  }

  #rollBack(position: number, wrong: LedgerEntry, right: LedgerEntry, judged: JudgedDraft[]): LedgerChange {
    const dropped = this.length - position;
    const branch = this.#branch;
    this.#truncate(position);
    this.acknowledge(this.epoch, this.sent);
    this.append({ ...right, entropy: wrong.entropy });
    // A branch that never ran has nothing to give.
    const foreseen = branch?.at === position && branch.entries[0]?.token === right.token && branch.fed > position;
    if (foreseen) this.#adopt(branch);
    this.#copy.raiseEpoch();
    this.#advance();
    const adopted = foreseen ? branch.length - position - 1 : 0;
    return { kind: 'rolled-back', length: position, dropped, adopted, judged };
  }

  /** The branch becomes the main line; its first token is there already. */
  #adopt(branch: Branch): void {
    for (const entry of branch.entries.slice(1)) this.append(entry);
    this.#fed = branch.fed;
    this.#rows.append(branch.rows.copy(0, branch.rows.length));
    this.#main.sharedTo = branch.at;
    this.#main = branch.mark;
    branch.mark.sharedTo = Number.POSITIVE_INFINITY;
  }

  #branchOf(line: LineMark): Branch | undefined {
    return this.#branch?.mark === line ? this.#branch : undefined;
  }

  /** Moves `settled` over accepted tokens: a token is final when all before it are. */
  #advance(): void {
    for (let entry = this.entryAt(this.#settled); entry?.state === 'accepted'; entry = this.entryAt(this.#settled)) {
      entry.state = 'settled';
      this.#settled++;
    }
    if (this.#branch && this.#branch.at < this.#settled) this.#branch = undefined;
  }

  #truncate(length: number): void {
    if (length < this.length) this.#main.revision++;
    if (this.#branch && this.#branch.at >= length) this.#branch = undefined;
    this.#tokens.length = Math.min(this.#tokens.length, length);
    this.#entries.length = Math.min(this.#entries.length, Math.max(0, length - this.#promptLength));
    this.#rows.truncate(length);
    this.#upstream.truncate(length);
    this.#settled = Math.min(this.#settled, length);
    this.#fed = Math.min(this.#fed, length);
    this.#copy.truncate(length);
  }
}
