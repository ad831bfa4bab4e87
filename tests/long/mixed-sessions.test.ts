import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectRightTraces, type SoloText, soloTexts } from '../support/mixed-traces.js';
import { makeSmallBundle, type SmallBundle } from '../support/small-bundle.js';

/** `TANDEM_TRACES=2000 npm run test:long -- mixed-sessions` takes five minutes on two quiet cores. */
const TRACES = Number(process.env.TANDEM_TRACES ?? 400);

/** Nobody changes a bit of anybody else's text, whatever the mix. The short version is in tests/integration. */
describe('mixed sessions', () => {
  let bundle: SmallBundle;
  let texts: SoloText[];

  beforeAll(async () => {
    bundle = await makeSmallBundle();
    texts = await soloTexts(bundle, 6);
  });

  afterAll(() => bundle?.remove());

  it('tell what each tells alone, beside poison, under eviction, in slots that are used again', async () => {
    const sum = await expectRightTraces(bundle, texts, TRACES);
    expect(sum.verdicts).toBeGreaterThan(15 * TRACES);
    expect(sum.refused).toBeGreaterThan(TRACES / 2);
    expect(sum.evictions).toBeGreaterThan(2.5 * TRACES);
    expect(sum.rebuilds).toBeGreaterThan(1.25 * TRACES);
  });
});
