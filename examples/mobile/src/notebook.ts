import type { Turn } from '@tandem/chat-parts';

const KEY = 'tandem-chat';

export interface Page {
  turns: readonly Turn[];
  /** An answer was being written when this was stored. */
  isOpen: boolean;
}

/** What was said, kept where it outlives the app: a phone ends apps in the background without asking. */
export const notebook = {
  read(): Page {
    try {
      return JSON.parse(localStorage.getItem(KEY) ?? '') as Page;
    } catch {
      return { turns: [], isOpen: false };
    }
  },
  write(page: Page): void {
    localStorage.setItem(KEY, JSON.stringify(page));
  },
};
