import { isTandemError, originName, type TokenLogprobs } from '@tandem/edge';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Bench, startBench } from '../support/exactness.js';
import { OPENINGS } from '../support/tales.js';

/** Log probabilities of a text. The oracle is the whole chain in one process, and for exits the device's own stages. */
describe('logprobs', () => {
  let bench: Bench;
  beforeAll(async () => {
    bench = await startBench('q8');
  });
  afterAll(() => bench.close());
  const opening = OPENINGS[9]!;
  const rules = { temperature: 0.8, seed: 2, maxOutputTokens: 24, logprobs: 3 };

  /** What the first `depth` stages say behind every token of the text, from `promptLength - 1` on. */
  async function oracle(text: readonly number[], promptLength: number, depth: number): Promise<TokenLogprobs[]> {
    const session = `logprobs ${depth}`;
    const { contextLength } = bench.oracle.info;
    await bench.oracle.open({ session, firstStage: 0, endStage: depth, capacity: contextLength, codec: 'f16' });
    const want = Array.from({ length: text.length - promptLength }, (_, index) => promptLength - 1 + index);
    const { choices } = await bench.oracle.step({
      session,
      from: 0,
      input: { kind: 'tokens', tokens: Int32Array.from(text.slice(0, -1)) },
      depth,
      want,
      drafts: [],
      sampling: { temperature: 0.8, topK: 0, topP: 1, minP: 0, seed: 2, logprobs: 3 },
    });
    await bench.oracle.close(session);
    return choices.map((choice) => choice.logprobs!);
  }

  it.each(['exact', 'cloud-only'] as const)(
    '%s: those of the whole model, bit for bit, whoever drafted',
    async (mode) => {
      const session = await bench.model.createSession({ mode, cloud: { url: bench.server.url } });
      const { tokens } = await session.generate(opening, rules);
      await session.dispose();
      const prompt = bench.model.tokenizer.encode(opening);
      const text = [...prompt, ...tokens.map(({ id }) => id)];
      const whole = await oracle(text, prompt.length, bench.oracle.info.stages);
      expect(tokens.map(({ logprobs }) => logprobs)).toEqual(whole);
      if (mode === 'exact') expect(new Set(tokens.map(({ origin }) => originName(origin))).size).toBeGreaterThan(1);
    },
  );

  it('device-only: those of the exit that decided', async () => {
    const session = await bench.model.createSession({ mode: 'device-only', threshold: [0.7, 0.5] });
    const { tokens } = await session.generate(opening, rules);
    await session.dispose();
    const prompt = bench.model.tokenizer.encode(opening);
    const text = [...prompt, ...tokens.map(({ id }) => id)];
    const stages = [...new Set(tokens.map(({ origin }) => (origin.kind === 'exit' ? origin.stage : 0)))];
    expect(stages).toHaveLength(2);
    for (const stage of stages) {
      const exit = await oracle(text, prompt.length, stage);
      for (const [index, { origin, logprobs }] of tokens.entries()) {
        if (origin.kind === 'exit' && origin.stage === stage) expect(logprobs).toEqual(exit[index]);
      }
    }
  });

  it('are told of no token where nobody asks, and of few alternatives only', async () => {
    const session = await bench.model.createSession({ cloud: { url: bench.server.url } });
    const plain = await session.generate(opening, { maxOutputTokens: 8 });
    expect(plain.tokens.every((token) => !('logprobs' in token))).toBe(true);
    const alone = await session.generate(opening, { maxOutputTokens: 8, logprobs: 0 });
    expect(alone.tokens.every(({ logprobs }) => logprobs?.top.length === 0 && logprobs.logprob <= 0)).toBe(true);
    const error = await session.generate(opening, { logprobs: 6 }).then(
      () => undefined,
      (cause: unknown) => cause,
    );
    expect(isTandemError(error) && error.code).toBe('INVALID_OPTION');
    await session.dispose();
  });
});
