/** Where a token was decided. */
export type Origin =
  /**
   * The exit at the end of device stage `stage` (1-based).
   * `verified`: the cloud chose the same token. `degraded`: nobody was there to ask, although the mode wanted to.
   */
  | { kind: 'exit'; stage: number; verified: boolean; degraded: boolean }
  /** The server's deepest stage, against the device's draft or without one. */
  | { kind: 'cloud' }
  /** A larger model behind the server, in a passage at which the small one was unsure. */
  | { kind: 'larger-model'; model: string };

/** Short name for tables and JSON: `exit1`, `exit2`, …, `cloud`, `larger-model`. */
export function originName(origin: Origin): string {
  return origin.kind === 'exit' ? `exit${origin.stage}` : origin.kind;
}
