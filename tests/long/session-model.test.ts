import { expect, test } from 'vitest';
import { compareSessions } from '../property/compare-sessions.js';

test('20,000 sequences of commands: the server says what the protocol says', async () => {
  const { failed, error } = await compareSessions(20_000, 43);
  expect(failed, error).toBe(false);
});
