import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openBundle } from '@tandem/shared/node';
import { expect, it } from 'vitest';
import { TALES, talesBundle } from '../support/tales.js';

it('the embedded model is calibrated, for the weights that it has', async () => {
  const { manifest } = await openBundle(await talesBundle(['q8']));
  const { fingerprint } = JSON.parse(await readFile(join(TALES, 'calibration.json'), 'utf8'));
  expect(fingerprint, 'calibration.json is of other weights; run `npx tandem calibrate models/tales`').toBe(
    manifest.fingerprint,
  );
  const policies = manifest.calibration?.find(({ format }) => format === 'q8')?.policies ?? [];
  for (const policy of ['max-probability', 'margin', 'entropy'] as const) {
    const found = policies.find((entry) => entry.policy === policy && entry.epsilon === 0.01);
    expect(
      found?.thresholds.some((threshold) => threshold !== null),
      policy,
    ).toBe(true);
  }
});
