/**
 * What the decode loop weighs, in milliseconds. Pure functions of measured times: the device's controller asks them
 * after every token, `tandem plan` prints what they say.
 */
export interface DecodeCosts {
  /** Device: one more draft, all stages that it usually runs. */
  draftMs: number;
  /** Device: the stages behind the exit in question, for one row in a batch of one. */
  deeperMs: number;
  /** Of the exit's wrong drafts they put right this share. */
  rescueShare: number;
  /** From a forward to its verdict, without the server's own time. */
  roundTripMs: number;
  /** Server: one forward, from its start to its verdict. */
  forwardMs: number;
  /** Milliseconds of the user's time that a millisecond of the server's is worth. */
  cloudPrice: number;
}

/**
 * Unsent drafts go up when the chance that all of them are right is at or below this.
 *
 * Waiting for one more draft delays the news of a mismatch by `draftMs`, if there is one: (1 − q)·draftMs. Sending now
 * costs the server one more forward, if there is none: q·cloudPrice·forwardMs. The two are equal at the threshold.
 */
export function sendThreshold({ draftMs, forwardMs, cloudPrice }: DecodeCosts): number {
  const price = cloudPrice * forwardMs;
  return price + draftMs > 0 ? draftMs / (draftMs + price) : 1;
}

/**
 * An earlier exit's draft is taken when its chance to be right is at least this; else the next stages run first.
 *
 * They gain the share of its wrong drafts that they put right, times what a wrong draft costs: the wait for the news, and
 * a forward more. Taken now instead of later, in a batch with other rows, they cost their own time.
 */
export function draftThreshold(costs: DecodeCosts): number {
  const { deeperMs, rescueShare, roundTripMs, forwardMs, cloudPrice } = costs;
  const gainMs = rescueShare * (roundTripMs + forwardMs * (1 + cloudPrice));
  if (deeperMs === 0) return 1;
  return gainMs > 0 ? Math.max(0, 1 - deeperMs / gainMs) : 0;
}

/**
 * A draft with a smaller chance to be of use costs more than it gives. It saves its own time if it is right; if not, the
 * verdict that says so finds the device busy, with a chance of draftMs / (roundTripMs + forwardMs), for half a draft.
 */
export function draftFloor({ draftMs, roundTripMs, forwardMs }: DecodeCosts): number {
  const verdictMs = roundTripMs + forwardMs;
  return verdictMs > 0 ? Math.min(0.5, draftMs / (2 * verdictMs)) : 0;
}

/**
 * Whether rows had better go up as token ids, of which the server makes the rows: when their upload takes longer than
 * that. A server is taken to be as quick as the device, whose own time per row is `makeMsPerRow`.
 */
export function tokensPay(prompt: {
  /** By which a token id is shorter than a row. */
  savedBytes: number;
  upBytesPerMs: number;
  makeMsPerRow: number;
}): boolean {
  return prompt.savedBytes / prompt.upBytesPerMs > prompt.makeMsPerRow;
}
