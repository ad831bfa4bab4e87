import type { Messages } from '@tandem/shared';
import type { Ledger } from './ledger.js';
import { cloudEntry } from './ledger-entry.js';
import type { LedgerChange } from './ledger-types.js';

/**
 * What a larger model wrote becomes final, and everything that was drafted in its place is dropped: a mismatch with
 * several tokens. The device's stages and the cloud read them like a prompt.
 *
 * It belongs right behind the settled text. Elsewhere it is dropped, and the server asked anew, since it hears nothing
 * more of this epoch: an exit may have been quicker, or a draft before it went up before anybody asked about that one.
 */
export function applyPassage(ledger: Ledger, { epoch, row, tokens, model }: Messages['passage']): LedgerChange {
  const position = row + 1;
  if (epoch !== ledger.epoch) return { kind: 'ignored' };
  if (position !== ledger.settled) {
    ledger.askAgain();
    return { kind: 'ignored' };
  }
  const dropped = ledger.length - position;
  ledger.acknowledge(epoch, position);
  ledger.cancel();
  for (const token of tokens) ledger.append({ ...cloudEntry(token), origin: { kind: 'larger-model', model } });
  return { kind: 'rolled-back', length: position, dropped, adopted: 0, judged: [] };
}
