import type { Clock, Engine, Manifest, Random } from '@tandem/shared';
import type { Tokenizer } from '@tandem/shared/tokenizer';
import type { ChatRenderer } from '../chat/chat-message.js';
import type { Acceptance } from '../control/acceptance.js';
import type { Ledger } from '../ledger/ledger.js';
import type { SharedPrefix } from '../link/shared-prefix.js';
import type { LastGeneration } from './last-generation.js';
import type { Prefilled } from './prefix-cache.js';

/** What a session gets from its model. */
export interface SessionParts {
  manifest: Manifest;
  engine: Engine;
  tokenizer: Tokenizer;
  /** Default: none; `chat` is refused then. */
  chatTemplate?: ChatRenderer | undefined;
  sessionId: string;
  /** What verdicts have taught about the model's drafts; shared by its sessions. */
  acceptance: Acceptance;
  clock: Clock;
  random: Random;
  /** Of `sharedPrefix`. */
  prefix?: SharedPrefix | undefined;
  /** What of it the engine's session has run already. */
  prefilled?: Prefilled | undefined;
  /** Tells the ledger the text to begin with; returns the generation that it belongs to. */
  restore?: ((ledger: Ledger) => LastGeneration | undefined) | undefined;
  /** Told once when the session is disposed. */
  onDisposed(): void;
}
