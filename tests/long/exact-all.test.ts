import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Bench, startBench } from '../support/exactness.js';
import { expectEqualStories, FORMATS, LINKS, TEMPERATURES } from '../support/exactness-matrix.js';
import { OPENINGS } from '../support/tales.js';

/** All hundred openings × temperature × format × link: every token equals the unsplit model's. */
describe.each(FORMATS)('exact equals unsplit on 100 openings, %s stages', (format) => {
  let bench: Bench;
  beforeAll(async () => {
    bench = await startBench(format);
  });
  afterAll(() => bench.close());

  describe.each(Object.entries(LINKS))('%s', (name, link) => {
    it.each(TEMPERATURES)('temperature %d', async (temperature) => {
      const compared = await expectEqualStories(bench, OPENINGS, temperature, 48, link);
      console.log(`${format}, ${name}, temperature ${temperature}: ${compared} of ${compared} tokens equal`);
      expect(compared).toBeGreaterThan(100 * 20);
    });
  });
});
