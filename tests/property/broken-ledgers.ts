import { applyPassage, Ledger, type LedgerChange, LineSwitch } from '@tandem/edge/testing';
import type { Messages } from '@tandem/shared';
import { accepted } from '../support/ledger-entries.js';

/** Ways to forget a rule of the device; each must break the text or stall it. */
export class LedgerWithoutEpochCheck extends Ledger {
  override applyVerdict(verdict: Messages['verdict']) {
    return super.applyVerdict({ ...verdict, epoch: this.epoch });
  }
}

export class LedgerWithoutDraftCompare extends Ledger {
  override applyVerdict(verdict: Messages['verdict']) {
    const tokens = verdict.rows.map((row, i) => this.tokenAt(row + 1) ?? verdict.tokens[i]!);
    return super.applyVerdict({ ...verdict, tokens });
  }
}

/** Believes that all rows which the server holds are its own. */
export class LedgerThatVouchesForAll extends Ledger {
  override restart(length: number): void {
    this.acknowledge(this.epoch, length);
    super.restart(length, this.epoch);
  }
}

/** Believes that what was under way when a text was dropped arrives all the same. */
export class LedgerThatCountsUnderWay extends Ledger {
  override cancel(): void {
    const { sent } = this;
    super.cancel();
    if (this.sent < sent) this.nextForward(false);
  }
}

/** Forgets that the stages hold the branch when the main line goes on. */
export class LinesThatStay extends LineSwitch {
  override to(): number[] {
    return [];
  }
}

/** Forgets that a passage takes the place of what was drafted. */
export function applyPassageBehindDrafts(ledger: Ledger, passage: Messages['passage']): LedgerChange {
  if (passage.epoch !== ledger.epoch || passage.row + 1 !== ledger.settled) return applyPassage(ledger, passage);
  const origin = { kind: 'larger-model', model: passage.model } as const;
  for (const token of passage.tokens) ledger.append({ ...accepted(token), origin });
  ledger.askAgain();
  return { kind: 'ignored' };
}
