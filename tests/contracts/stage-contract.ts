import {
  type Random,
  type Stage,
  type StageInput,
  type StageModel,
  type StageOutput,
  seededRandom,
} from '@tandem/shared';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectSameBits } from '../support/compare.js';

export interface StageSubject {
  model: StageModel;
  input: 'tokens' | 'rows';
  contextLength: number;
}

/** Slow runtimes may do less: two windows at least, and one seed of each kind of chance. */
export interface ContractSize {
  positions?: number;
  seeds?: number;
}

/** Positions of the runs that are compared: three windows and a bit. */
const POSITIONS = 200;

/**
 * What every implementation of `Stage` must keep. Above all: a row's output depends on the tokens before it and on nothing
 * else, bit for bit.
 */
export function describeStageContract(name: string, load: () => Promise<StageSubject>, size: ContractSize = {}): void {
  const { positions = POSITIONS, seeds = 4 } = size;
  describe(`stage contract: ${name}`, () => {
    let subject: StageSubject;
    let feed: Feed;
    /** One row at a time, logits of every row: what all other groupings are compared with. */
    let expected: StageOutput;

    beforeAll(async () => {
      subject = await load();
      feed = new Feed(subject, positions, 7);
      const stage = subject.model.open(positions);
      const parts: StageOutput[] = [];
      for (let i = 0; i < positions; i++) parts.push(await stage.forward(feed.slice(i, i + 1), Int32Array.of(0)));
      expected = join(parts);
      stage.dispose();
    });
    afterAll(() => subject.model.dispose());

    const logitsPerRow = () => (subject.model.hasHead ? subject.model.vocabularySize : 0);
    const expectRows = (output: StageOutput, begin: number, end: number, wanted: Int32Array, label: string) => {
      const { width } = subject.model;
      expectSameBits(
        output.rows,
        expected.rows.subarray(begin * width, end * width),
        `${label}, rows [${begin}, ${end})`,
      );
      const size = logitsPerRow();
      const logits = join(
        [...wanted].map((offset) => ({
          rows: NOTHING,
          logits: expected.logits.subarray((begin + offset) * size, (begin + offset + 1) * size),
        })),
      ).logits;
      expectSameBits(output.logits, logits, `${label}, logits of [${begin}, ${end})`);
    };
    const forwardAndCompare = async (stage: Stage, count: number, random: Random, label: string) => {
      const begin = stage.length;
      const wanted = randomOffsets(count, random);
      const output = await stage.forward(feed.slice(begin, begin + count), wanted);
      expect(stage.length).toBe(begin + count);
      expectRows(output, begin, begin + count, wanted, label);
    };

    it('gives finite rows of the announced sizes', () => {
      expect(expected.rows.length).toBe(positions * subject.model.width);
      expect(expected.logits.length).toBe(positions * logitsPerRow());
      expect(expected.rows.every(Number.isFinite) && expected.logits.every(Number.isFinite)).toBe(true);
    });

    it('gives the same bits in one call, whatever the capacity', async () => {
      for (const capacity of [positions, subject.contextLength]) {
        const stage = subject.model.open(capacity);
        await forwardAndCompare(stage, positions, seededRandom(1), `capacity ${capacity}`);
        stage.dispose();
      }
    });

    it('gives the same bits in random groupings', async () => {
      for (let seed = 0; seed < seeds; seed++) {
        const random = seededRandom(seed);
        const stage = subject.model.open(positions);
        while (stage.length < positions) {
          const count = Math.min(positions - stage.length, randomCount(random));
          await forwardAndCompare(stage, count, random, `seed ${seed}`);
        }
        stage.dispose();
      }
    });

    it('gives the same bits after random roll-backs of other rows', async () => {
      const others = new Feed(subject, positions, 99);
      for (let seed = 0; seed < seeds - 1; seed++) {
        const random = seededRandom(100 + seed);
        const stage = subject.model.open(positions);
        while (stage.length < positions) {
          const length = stage.length;
          const drafts = Math.min(positions - length, randomCount(random));
          await stage.forward(others.slice(length, length + drafts), new Int32Array(0));
          // Back to before the drafts, and sometimes further: settled rows are lost and run again.
          stage.truncate(random.next() < 0.3 ? Math.floor(random.next() * length) : length);
          const count = Math.min(positions - stage.length, randomCount(random));
          await forwardAndCompare(stage, count, random, `seed ${seed}`);
        }
        stage.dispose();
      }
    });

    it('takes a tail aside and puts it back, bit for bit', async () => {
      const others = new Feed(subject, positions, 98);
      const random = seededRandom(8);
      const stage = subject.model.open(positions);
      while (stage.length < positions) {
        await forwardAndCompare(stage, Math.min(positions - stage.length, randomCount(random)), random, 'before');
        const { length } = stage;
        const from = length - Math.floor(random.next() * Math.min(length, 70));
        const tail = stage.copyTail(from);
        stage.truncate(from);
        const count = Math.min(positions - from, randomCount(random));
        await stage.forward(others.slice(from, from + count), new Int32Array(0));
        stage.truncate(from);
        stage.appendTail(tail);
        expect(stage.length).toBe(length);
        expect(() => stage.appendTail({ ...tail, from: length + 1 })).toThrow();
      }
      stage.dispose();
    });

    it('keeps sessions apart', async () => {
      const [one, other] = [subject.model.open(positions), subject.model.open(positions)];
      await other.forward(new Feed(subject, 80, 5).slice(0, 80), new Int32Array(0));
      await forwardAndCompare(one, 10, seededRandom(3), 'beside another session');
      other.dispose();
      await forwardAndCompare(one, 10, seededRandom(3), 'after another session');
      one.dispose();
    });

    it('counts, and forgets on truncate', async () => {
      const stage = subject.model.open(100);
      expect([stage.length, stage.capacity]).toEqual([0, 100]);
      await stage.forward(feed.slice(0, 70), new Int32Array(0));
      expect(stage.length).toBe(70);
      stage.truncate(70);
      stage.truncate(3);
      expect(stage.length).toBe(3);
      expect(() => stage.truncate(4)).toThrow();
      stage.truncate(0);
      await forwardAndCompare(stage, 5, seededRandom(4), 'after truncate(0)');
      stage.dispose();
    });

    it('takes no rows and wants no logits', async () => {
      const stage = subject.model.open(10);
      expect(await stage.forward(feed.slice(0, 0), new Int32Array(0))).toEqual({ rows: NOTHING, logits: NOTHING });
      const output = await stage.forward(feed.slice(0, 2), new Int32Array(0));
      expectRows(output, 0, 2, new Int32Array(0), 'nothing wanted');
      stage.dispose();
    });

    it('refuses more than its capacity and stays as it was', async () => {
      const stage = subject.model.open(70);
      await stage.forward(feed.slice(0, 60), new Int32Array(0));
      await expect(stage.forward(feed.slice(60, 71), new Int32Array(0))).rejects.toMatchObject({
        code: 'CONTEXT_TOO_LONG',
      });
      expect(stage.length).toBe(60);
      await forwardAndCompare(stage, 10, seededRandom(5), 'after a refused call');
      stage.dispose();
      expect(() => subject.model.open(subject.contextLength + 1)).toThrow(/CONTEXT_TOO_LONG/);
    });

    it('returns arrays that later calls leave alone', async () => {
      const stage = subject.model.open(positions);
      const output = await stage.forward(feed.slice(0, 3), Int32Array.of(0, 2));
      const copy = { rows: output.rows.slice(), logits: output.logits.slice() };
      await stage.forward(feed.slice(3, 50), Int32Array.of(1));
      stage.dispose();
      expectSameBits(output.rows, copy.rows, 'rows');
      expectSameBits(output.logits, copy.logits, 'logits');
    });

    it.each([NaN, Infinity, 1e30])('a rolled back row of %s leaves no trace', async (poison) => {
      if (subject.input === 'tokens') return;
      const stage = subject.model.open(positions);
      await forwardAndCompare(stage, 10, seededRandom(6), 'before');
      const poisoned = feed.slice(10, 16) as { kind: 'rows'; rows: Float32Array };
      poisoned.rows.fill(poison, 2 * subject.model.width, 3 * subject.model.width);
      const output = await stage.forward(poisoned, Int32Array.of(0, 1));
      // Rows before the poisoned one, in the same call, do not see it either.
      expectRows(
        { rows: output.rows.subarray(0, 2 * subject.model.width), logits: output.logits },
        10,
        12,
        Int32Array.of(0, 1),
        'same call',
      );
      stage.truncate(10);
      await forwardAndCompare(stage, 100, seededRandom(6), 'after');
      stage.dispose();
    });
  });
}

const NOTHING = new Float32Array(0);

/** Random input of one kind, the same for a seed. */
class Feed {
  readonly #subject: StageSubject;
  readonly #tokens: Int32Array; // (positions)
  readonly #rows: Float32Array; // (positions, width)

  constructor(subject: StageSubject, positions: number, seed: number) {
    const random = seededRandom(seed);
    const { width, vocabularySize } = subject.model;
    this.#subject = subject;
    this.#tokens = Int32Array.from({ length: positions }, () => Math.floor(random.next() * vocabularySize));
    this.#rows = Float32Array.from({ length: positions * width }, () => (random.next() * 2 - 1) * 3);
  }

  slice(begin: number, end: number): StageInput {
    const { width } = this.#subject.model;
    if (this.#subject.input === 'tokens') return { kind: 'tokens', tokens: this.#tokens.slice(begin, end) };
    return { kind: 'rows', rows: this.#rows.slice(begin * width, end * width) };
  }
}

/** Mostly single rows and short drafts, sometimes a piece of a prompt. */
function randomCount(random: Random): number {
  const kind = random.next();
  if (kind < 0.3) return 1;
  return 1 + Math.floor(random.next() * (kind < 0.8 ? 8 : 90));
}

function randomOffsets(count: number, random: Random): Int32Array {
  return Int32Array.from(Array.from({ length: count }, (_, i) => i).filter(() => random.next() < 0.5));
}

function join(parts: StageOutput[]): StageOutput {
  const concat = (arrays: Float32Array[]) => Float32Array.from(arrays.flatMap((array) => [...array]));
  return { rows: concat(parts.map((part) => part.rows)), logits: concat(parts.map((part) => part.logits)) };
}
