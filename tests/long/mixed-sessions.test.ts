import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectRightTraces, type SoloText, soloTexts } from '../support/mixed-traces.js';
import { makeSmallBundle, type SmallBundle } from '../support/small-bundle.js';

const TRACES = 2_000;

/** Nobody changes a bit of anybody else's text, whatever the mix. The short version is in tests/integration. */
describe('mixed sessions', () => {
  let bundle: SmallBundle;
  let texts: SoloText[];

  beforeAll(async () => {
    bundle = await makeSmallBundle(1, { batchSlots: 4 });
    texts = await soloTexts(bundle, 6);
  });

  afterAll(() => bundle?.remove());

  it('tell what each tells alone, beside poison, under eviction, in slots that are used again, step by step together', async () => {
    const sum = await expectRightTraces(bundle, texts, TRACES);
    expect(sum.verdicts).toBeGreaterThan(15 * TRACES);
    expect(sum.refused).toBeGreaterThan(TRACES / 2);
    expect(sum.evictions).toBeGreaterThan(2.5 * TRACES);
    expect(sum.rebuilds).toBeGreaterThan(1.25 * TRACES);
    expect(sum.shared).toBeGreaterThan(8 * TRACES);
  });
});
