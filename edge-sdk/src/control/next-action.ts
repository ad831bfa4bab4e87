/** What the decode loop may do next when nothing is settled that the caller has not seen. */
export type Action = 'draft' | 'branch' | 'send' | 'wait';

export interface Situation {
  /** Whether the main line may get one more draft. */
  canDraft: boolean;
  /** The chance that all unverified drafts of the main line are right: that one more will be of use. */
  mainChance: number;
  /** The chance that the cloud takes the branch and all its drafts; 0 where none may be drafted. */
  branchChance: number;
  /** Whether the link would take a forward now, and the ledger has drafts for it. */
  canSend: boolean;
  /** The chance that all drafts which nobody was asked about yet are right, if those before them are. */
  unsentChance: number;
  /** See `sendThreshold` of the cost model. */
  sendThreshold: number;
  /** Below this chance a draft is not worth the device's energy. */
  draftFloor: number;
}

/**
 * The one decision of the loop. News of a likely mismatch goes out first; else the device's time goes to the draft that
 * is likelier to be of use; when none is, everything goes up, and what is left is to wait.
 *
 * Drafting on until confidence falls is Kangaroo's double early exit (Liu et al. 2024, section 3.2).
 */
export function nextAction(situation: Situation): Action {
  const { canDraft, canSend, unsentChance, sendThreshold, draftFloor, branchChance } = situation;
  if (canSend && unsentChance <= sendThreshold) return 'send';
  const mainChance = canDraft ? situation.mainChance : 0;
  if (Math.max(mainChance, branchChance) > draftFloor) return mainChance >= branchChance ? 'draft' : 'branch';
  return canSend ? 'send' : 'wait';
}
