import type { Piece, Turn } from '@tandem/chat-parts';
import type { LinkState, LoadProgress } from '@tandem/edge';

/** What the page says to the process that runs the model. */
export type PageMessage =
  /** First: what was said before, for a process that takes over from one that ended. */
  { kind: 'begin'; turns: readonly Turn[] } | { kind: 'ask'; id: number; text: string } | { kind: 'stop'; id: number };

/** What comes back. Plain data: errors lose their class on a port, so only their fields travel. */
export type HostMessage =
  | { kind: 'progress'; progress: LoadProgress }
  | { kind: 'ready' }
  | { kind: 'failed'; error: PortError }
  | { kind: 'connection'; state: LinkState }
  | { kind: 'piece'; id: number; piece: Piece }
  | { kind: 'end'; id: number; error?: PortError };

export interface PortError {
  code?: string;
  message: string;
}

export function portError(error: unknown): PortError {
  const { code, message } = (error ?? {}) as Partial<PortError>;
  return { ...(code ? { code } : {}), message: message ?? String(error) };
}
