/** One continuation of an opening, as it came out: what every mode and both clocks are measured by. */
export interface Telling {
  tokens: number[];
  /** Where each token was decided: `exit1`, `exit2`, `cloud`. */
  origins: string[];
  /** What said whether an exit was sure; undefined where no session of ours is behind it. */
  policy?: string;
  /** When each token was final, since the call. */
  settledMs: number[];
  bytesUp: number;
  bytesDown: number;
  /** Forwards that an answer was asked of, and answered. */
  roundTrips: number;
  /** Those of them that found nobody at work on the device; undefined where it cannot be seen. */
  waitedRoundTrips: number | undefined;
  /** In which neither side computed: what the link costs. */
  exposedMs: number;
  deviceMs: number;
  /** In the cloud's engine, steps that proved useless included. */
  cloudMs: number;
}

/** An opening, and how much is to be told. */
export interface Story {
  prompt: string;
  /** The same in token ids. */
  promptTokens: readonly number[];
  maxOutputTokens: number;
}
