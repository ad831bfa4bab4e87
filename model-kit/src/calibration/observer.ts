import { type Choice, type Engine, GREEDY, type Manifest, type RowCodecName } from '@tandem/shared';
import type { ObservedText } from './observed-text.js';

/** Rows per run: their logits are in memory at once. */
const CHUNK_ROWS = 64;
const SESSION = 'observer';

/** Runs texts through all stages of a bundle and notes what every exit and the model's own head say. */
export class Observer {
  readonly #engine: Engine;
  /** Stages to run for each exit, first exit first, and for the whole model. */
  readonly #depths: readonly number[];
  readonly #codec: RowCodecName;

  /** `engine` must hold all stages. `codec`: what rows pass at the cut, as in a session. */
  constructor(engine: Engine, manifest: Manifest, codec: RowCodecName) {
    this.#engine = engine;
    this.#codec = codec;
    const exits = manifest.stages.flatMap(({ head }, index) => (head === 'exit' ? [index + 1] : []));
    this.#depths = [...exits, manifest.stages.length];
  }

  /** Observes the tokens that follow `tokens[first]`, `tokens[first + 1]`, … up to the last. */
  async observe(tokens: readonly number[], first: number): Promise<ObservedText> {
    const words: Choice[][] = this.#depths.map(() => []);
    const { stages } = this.#engine.info;
    await this.#engine.open({
      session: SESSION,
      firstStage: 0,
      endStage: stages,
      capacity: tokens.length,
      codec: this.#codec,
    });
    try {
      for (let start = 0; start < tokens.length; start += CHUNK_ROWS) {
        const chunk = Int32Array.from(tokens.slice(start, start + CHUNK_ROWS));
        const choices = await this.#run(start, chunk, first);
        for (const [index, own] of choices.entries()) words[index]!.push(...own);
      }
    } finally {
      await this.#engine.close(SESSION);
    }
    const model = words.pop()!;
    return { truth: model.map(({ token }) => token), exits: words };
  }

  /** One chunk, stage after stage, as a session's drafter does it. */
  async #run(start: number, chunk: Int32Array, first: number): Promise<Choice[][]> {
    const end = start + chunk.length;
    const want = Array.from(chunk.keys(), (offset) => start + offset).filter((position) => position >= first);
    const results: Choice[][] = [];
    let step: { from: number; input?: { kind: 'tokens'; tokens: Int32Array } } = {
      from: start,
      input: { kind: 'tokens', tokens: chunk },
    };
    for (const depth of this.#depths) {
      const request = { session: SESSION, ...step, depth, want, drafts: [], sampling: GREEDY };
      results.push((await this.#engine.step(request)).choices);
      step = { from: end };
    }
    return results;
  }
}
