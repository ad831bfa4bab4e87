/**
 * How much of the text the server was sent, and how much of that it is known to hold. Whatever makes messages under way
 * meaningless raises the epoch; what carries an older one is ignored, on either side.
 */
export class CloudCopy {
  /** Rows `[0, sent)` have gone up; always `acked ≤ sent`. */
  sent = 0;
  acked = 0;
  epoch = 0;
  /** Of the answer that last raised `acked`. */
  #ackedEpoch = 0;

  /** The server never runs what it has in its queue of an older epoch: only what it acknowledged is known to be there. */
  raiseEpoch(): void {
    this.epoch++;
    this.sent = this.acked;
  }

  acknowledge(epoch: number, length: number): void {
    if (epoch !== this.epoch) return;
    this.acked = Math.max(this.acked, Math.min(length, this.sent));
    this.#ackedEpoch = epoch;
  }

  /** The server holds only `length` rows. Forwards run in order, so those are ours. Returns whether that is news. */
  rewind(epoch: number, length: number): boolean {
    if (epoch !== this.epoch || length >= this.sent) return false;
    this.acked = length;
    this.raiseEpoch();
    return true;
  }

  restart(length: number, rowsEpoch: number, shared: number): void {
    this.acked = Math.max(rowsEpoch < this.#ackedEpoch ? 0 : Math.min(this.acked, length), shared);
    this.raiseEpoch();
    if (shared > 0) this.#ackedEpoch = this.epoch;
  }

  /** Rows from `length` on are not the text's any more. */
  truncate(length: number): void {
    this.sent = Math.min(this.sent, length);
    this.acked = Math.min(this.acked, length);
  }
}
