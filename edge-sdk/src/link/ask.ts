import type { SamplingSettings } from '@tandem/shared';

/** How the session wants its forwards judged. */
export interface Ask {
  sampling: SamplingSettings;
  /** Want the token after the last row, too. */
  askLast: boolean;
  /** Tokens that the server may add on its own. */
  extend: number;
}
