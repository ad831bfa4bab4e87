import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectRightTraces, runTrace, type SoloText, soloTexts } from '../support/mixed-traces.js';
import { makeSmallBundle, type SmallBundle } from '../support/small-bundle.js';

/** Nobody changes a bit of anybody else's text, whatever the mix. Two thousand traces are in tests/long. */
describe('mixed sessions', () => {
  let bundle: SmallBundle;
  let texts: SoloText[];

  beforeAll(async () => {
    bundle = await makeSmallBundle(1, { batchSlots: 4 });
    texts = await soloTexts(bundle, 6);
  });

  afterAll(() => bundle?.remove());

  it('tell what each tells alone, beside poison, under eviction, in slots that are used again, step by step together', async () => {
    const sum = await expectRightTraces(bundle, texts, 25);
    expect(sum.verdicts).toBeGreaterThan(400);
    expect(sum.refused).toBeGreaterThan(10);
    expect(sum.evictions).toBeGreaterThan(40);
    expect(sum.rebuilds).toBeGreaterThan(20);
    expect(sum.shared).toBeGreaterThan(200);
  });

  it('would be caught if one row of another were mixed in', async () => {
    const mixedUp = texts.map((text, index) => {
      const rows = text.rows.slice();
      const bytesPerRow = rows.length / text.choices.length;
      rows.set(texts[(index + 1) % texts.length]!.rows.subarray(0, bytesPerRow), 0);
      return { ...text, rows };
    });
    // One row of ninety seldom changes which token is the likeliest: in some trace it does.
    const wrong: string[] = [];
    for (let seed = 0; seed < 12; seed++) wrong.push(...(await runTrace(bundle, mixedUp, seed)).wrong);
    expect(wrong).not.toEqual([]);
  });
});
