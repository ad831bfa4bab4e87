import { expect, test } from 'vitest';
import { compareSessions } from './compare-sessions.js';
import type { ModelPlant } from './session-model.js';

/** The long run is `npm run test:long`. */
const SEQUENCES = 1_500;
/** A control experiment ends at its first difference. */
const CONTROL_SEQUENCES = 3_000;

test('whatever clients say, in whatever order, the server says what the protocol says', async () => {
  const { failed, error } = await compareSessions(SEQUENCES, 41);
  expect(failed, error).toBe(false);
});

test.each<ModelPlant>(['hears-after-mismatch', 'old-epochs-count', 'token-twice', 'rewinds-again', 'rows-outlive'])(
  'control: a protocol that differs (%s) is told from ours',
  async (plant) => {
    const { failed } = await compareSessions(CONTROL_SEQUENCES, 42, plant);
    expect(failed).toBe(true);
  },
);
