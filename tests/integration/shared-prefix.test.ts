import type { GenerationResult, SessionOptions } from '@tandem/edge';
import { PREFIX_BLOCK_TOKENS } from '@tandem/shared';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Bench, startBench, tell, tellUnsplit } from '../support/exactness.js';
import { OPENINGS } from '../support/tales.js';

/** A beginning that many sessions have in common, long enough for a few blocks. */
const PREFIX = `${OPENINGS.slice(0, 16).join(' ')} `;

/** Sessions that begin alike, over real sockets and stages: less goes up, and not a token changes. */
describe('shared prefix', () => {
  let bench: Bench;
  let blocks: number;

  beforeAll(async () => {
    bench = await startBench('q8');
    blocks = Math.floor(bench.model.tokenizer.encode(PREFIX).length / PREFIX_BLOCK_TOKENS);
    expect(blocks).toBeGreaterThan(2);
  });

  afterAll(() => bench?.close());

  const story = (index: number) => ({
    opening: PREFIX + OPENINGS[20 + index]!,
    temperature: 0.8,
    seed: index,
    maxOutputTokens: 24,
  });

  async function expectExact(index: number, options: Partial<SessionOptions> = {}): Promise<GenerationResult> {
    // As token ids a prompt takes so few bytes that they would show nothing.
    const told = await tell(bench, story(index), undefined, { sharedPrefix: PREFIX, promptAs: 'rows', ...options });
    expect(told.tokens.map(({ id }) => id)).toEqual(await tellUnsplit(bench, story(index)));
    return told;
  }

  it('the first session sends it, the next ones do not', async () => {
    const alone = await expectExact(0, { sharedPrefix: undefined });
    const first = await expectExact(0);
    const next = await expectExact(1);
    const rowBytes = 2 * bench.model.manifest.width;
    expect(first.transfer.bytesUp).toBeGreaterThan(alone.transfer.bytesUp - PREFIX_BLOCK_TOKENS * rowBytes);
    expect(next.transfer.bytesUp).toBeLessThan(alone.transfer.bytesUp - (blocks - 1) * PREFIX_BLOCK_TOKENS * rowBytes);
  });

  it('the device runs it once, until another one takes its place', async () => {
    const other = `${OPENINGS.slice(50, 66).join(' ')} `;
    const asked = (opening: string) => ({
      opening: opening + OPENINGS[30]!,
      temperature: 0.8,
      seed: 5,
      maxOutputTokens: 8,
    });
    const deviceMs: number[] = [];
    for (const prefix of [PREFIX, other, other, PREFIX]) {
      const told = await tell(bench, asked(prefix), undefined, { sharedPrefix: prefix });
      expect(told.tokens.map(({ id }) => id)).toEqual(await tellUnsplit(bench, asked(prefix)));
      deviceMs.push(told.timings.deviceMs);
    }
    // A prompt of hundreds of tokens is not run in the time of a generation any more: the control is a session without.
    const alone = await tell(bench, asked(other));
    expect(Math.min(...deviceMs)).toBeLessThan(alone.timings.deviceMs);
  });

  it('in cloud-only mode, too', async () => {
    const options = { mode: 'cloud-only', sharedPrefix: PREFIX } as const;
    for (const index of [2, 3]) {
      const told = await tell(bench, story(index), undefined, options);
      expect(told.tokens.map(({ id }) => id)).toEqual(await tellUnsplit(bench, story(index)));
    }
  });

  it('a session that does not begin with it, or no longer, is as exact as any', async () => {
    const session = await bench.model.createSession({
      mode: 'exact',
      onCloudUnavailable: 'wait',
      cloud: { url: bench.server.url },
      sharedPrefix: PREFIX,
    });
    for (const opening of [
      OPENINGS[40]!,
      story(4).opening,
      OPENINGS[41]!,
      story(5).opening.slice(0, 300),
      story(6).opening,
    ]) {
      const asked = { opening, temperature: 0.8, seed: 9, maxOutputTokens: 16 };
      const told = await session.generate(opening, settingsOf(asked));
      expect(told.tokens.map(({ id }) => id)).toEqual(await tellUnsplit(bench, asked));
    }
    await session.dispose();
  });

  it('when the server loses everything in between, the device has its rows', async () => {
    const stories = [7, 8, 9].map((index) => expectExact(index));
    for (const id of bench.server.engineProcessIds) process.kill(id, 'SIGKILL');
    await Promise.all(stories);
  });
});

function settingsOf({
  temperature,
  seed,
  maxOutputTokens,
}: {
  temperature: number;
  seed: number;
  maxOutputTokens: number;
}) {
  return { temperature, seed, maxOutputTokens };
}
