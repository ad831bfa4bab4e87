import { f16Codec, int8Codec, StageChain, seededRandom, throughCodec } from '@tandem/shared';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HashStage } from '../support/hash-stage.js';

const WIDTH = 4;
const DEPTH = 3;

function build(cutCodec?: typeof int8Codec) {
  const stages = Array.from({ length: DEPTH }, (_, i) => new HashStage(i + 1, WIDTH));
  return { stages, chain: new StageChain(stages, WIDTH, cutCodec && { afterStage: 1, codec: cutCodec }) };
}

function append(chain: StageChain, ...tokens: number[]): void {
  chain.append({ kind: 'tokens', tokens: Int32Array.from(tokens) });
}

/** The last stage's rows for these tokens, one token at a time: nothing ever waits. `(n, WIDTH)` */
async function withoutCatchUp(tokens: number[], cutCodec?: typeof int8Codec): Promise<number[][]> {
  const { chain } = build(cutCodec);
  const rows: number[][] = [];
  for (const token of tokens) {
    append(chain, token);
    rows.push([...(await chain.run(DEPTH, [])).rows]);
  }
  return rows;
}

describe('a chain', () => {
  test('runs rows that waited in one batch, with the rows of a chain where nothing waited', async () => {
    const { chain, stages } = build();
    append(chain, 5, 6, 7);
    await chain.run(1, []);
    append(chain, 8);
    await chain.run(2, []);
    append(chain, 9);
    const { rows } = await chain.run(DEPTH, [4]);
    expect(stages.map((stage) => stage.forwards)).toEqual([[3, 1, 1], [4, 1], [5]]);
    expect([...rows]).toEqual((await withoutCatchUp([5, 6, 7, 8, 9])).flat());
  });

  test('gives the logits of the wanted positions, counted from the start of the text', async () => {
    const { chain } = build();
    append(chain, 1, 2, 3);
    const whole = await chain.run(DEPTH, [0, 2]);
    expect(whole.logits.length).toBe(2 * WIDTH);
    const { chain: other } = build();
    append(other, 1, 2);
    await other.run(DEPTH, []);
    append(other, 3);
    const last = await other.run(DEPTH, [2]);
    expect([...last.logits]).toEqual([...whole.logits.slice(WIDTH)]);
  });

  test('refuses to want what ran before', async () => {
    const { chain } = build();
    append(chain, 1, 2);
    await chain.run(1, []);
    await expect(chain.run(1, [1])).rejects.toThrow('positions that ran before');
    append(chain, 3);
    await expect(chain.run(1, [0])).rejects.toThrow('wanted');
  });

  test('has nothing to give when nothing is new', async () => {
    const { chain } = build();
    append(chain, 1);
    await chain.run(DEPTH, []);
    expect((await chain.run(DEPTH, [])).rows.length).toBe(0);
  });

  test.each([f16Codec, int8Codec])('sends rows through the codec at the cut, and only there: $name', async (codec) => {
    const { chain } = build(codec);
    append(chain, 1, 2, 3);
    const { rows } = await chain.run(DEPTH, []);
    const { chain: device } = build();
    append(device, 1, 2, 3);
    const atCut = (await device.run(2, [])).rows;
    const deep = await new HashStage(3, WIDTH).forward(
      { kind: 'rows', rows: throughCodec(codec, atCut, WIDTH) },
      new Int32Array(0),
    );
    expect(rows).toEqual(deep.rows);
    expect(rows).not.toEqual(Float32Array.from((await withoutCatchUp([1, 2, 3])).flat()));
  });

  test('keeps what waits when a stage fails, so that the step can be repeated', async () => {
    const { chain, stages } = build();
    append(chain, 1, 2);
    stages[1]!.failsNext = true;
    await expect(chain.run(DEPTH, [])).rejects.toThrow('ENGINE_FAILED');
    expect([chain.stageLength(0), chain.stageLength(1), chain.length]).toEqual([2, 0, 2]);
    const { rows } = await chain.run(DEPTH, [1]);
    expect([...rows]).toEqual((await withoutCatchUp([1, 2])).flat());
  });

  test('reads tokens or rows, not both', () => {
    const { chain } = build();
    append(chain, 1);
    expect(() => chain.append({ kind: 'rows', rows: new Float32Array(WIDTH) })).toThrow('either tokens or rows');
  });

  test('disposes all stages', () => {
    const { chain, stages } = build();
    chain.dispose();
    expect(stages.every((stage) => stage.isDisposed)).toBe(true);
    expect(() => chain.stageLength(DEPTH)).toThrow('stage 3 of 3');
  });
});

test('truncate at every boundary, with rows waiting everywhere, leaves what a fresh chain has', async () => {
  for (let keep = 0; keep <= 6; keep++) {
    const { chain } = build();
    append(chain, 1, 2);
    await chain.run(DEPTH, []);
    append(chain, 3);
    await chain.run(2, []);
    append(chain, 4);
    await chain.run(1, []);
    append(chain, 5, 6);
    chain.truncate(keep);
    expect(chain.length).toBe(keep);
    append(chain, 77);
    const { rows } = await chain.run(DEPTH, [keep]);
    const tokens = [...[1, 2, 3, 4, 5, 6].slice(0, keep), 77];
    const expected = (await withoutCatchUp(tokens)).flat();
    expect([...rows]).toEqual(expected.slice(expected.length - rows.length));
    expect(chain.stageLength(DEPTH - 1)).toBe(keep + 1);
  }
});

/** `['append', n]` new tokens, `['run', depth]`, `['truncate', where]` as a fraction of 256. */
const actions = fc.array(
  fc.oneof(
    fc.tuple(fc.constant('append' as const), fc.integer({ min: 1, max: 5 })),
    fc.tuple(fc.constant('run' as const), fc.integer({ min: 1, max: DEPTH })),
    fc.tuple(fc.constant('truncate' as const), fc.nat(255)),
  ),
  { maxLength: 30, size: 'max' },
);

test('any mix of appending, running part of the way and truncating ends in the same rows', async () => {
  const property = fc.asyncProperty(actions, fc.constantFrom(undefined, int8Codec), async (list, codec) => {
    const { chain, stages } = build(codec);
    const tokens: number[] = [];
    for (const [kind, parameter] of list) {
      if (kind === 'append') {
        const added = Array.from({ length: parameter }, () => tokens.length * 7 + parameter);
        tokens.push(...added);
        append(chain, ...added);
      } else if (kind === 'run') {
        await chain.run(parameter, []);
      } else {
        tokens.length = Math.floor((tokens.length * parameter) / 255);
        chain.truncate(tokens.length);
      }
      expect(chain.length).toBe(tokens.length);
      const lengths = stages.map((stage) => stage.length);
      expect(lengths).toEqual(lengths.toSorted((a, b) => b - a));
    }
    append(chain, 1_000);
    const { logits } = await chain.run(DEPTH, [tokens.length]);
    const { chain: fresh } = build(codec);
    append(fresh, ...tokens, 1_000);
    expect(logits).toEqual((await fresh.run(DEPTH, [tokens.length])).logits);
  });
  await fc.assert(property, { numRuns: 200, seed: 4 });
});

describe('two continuations of one text', () => {
  test('go on alternately, each as if the other were not there', async () => {
    for (let seed = 0; seed < 300; seed++) {
      const random = seededRandom(seed);
      const pick = (below: number) => Math.floor(random.next() * below);
      const { chain } = build();
      const shared = Array.from({ length: 1 + pick(4) }, () => pick(50));
      append(chain, ...shared);
      await chain.run(1 + pick(DEPTH), []);
      const lines = [[...shared], [...shared]];
      let current = 0;
      for (let turn = 0; turn < 6; turn++) {
        const line = lines[current]!;
        if (random.next() < 0.3) {
          line.length = shared.length + pick(line.length - shared.length + 1);
          chain.truncate(line.length);
        }
        const added = Array.from({ length: pick(4) }, () => pick(50));
        line.push(...added);
        if (added.length > 0) append(chain, ...added);
        await chain.run(1 + pick(DEPTH), []);
        chain.exchange(shared.length);
        current = 1 - current;
      }
      const line = [...lines[current]!, 7];
      append(chain, 7);
      const { rows } = await chain.run(DEPTH, []);
      expect([...rows.slice(-WIDTH)], `seed ${seed}`).toEqual((await withoutCatchUp(line)).at(-1));
    }
  });

  test('a roll-back to before the fork forgets the other one', async () => {
    const { chain } = build();
    append(chain, 1, 2, 3);
    await chain.run(DEPTH, []);
    chain.exchange(2);
    chain.truncate(1);
    append(chain, 9);
    await chain.run(DEPTH, []);
    chain.exchange(2);
    expect(chain.length).toBe(2);
  });
});
