import { RecoveringEngine } from '@tandem/edge/testing';
import { type Engine, type Random, type StepRequest, seededRandom, TandemError } from '@tandem/shared';
import { loadChainEngine } from '@tandem/shared/node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeSmallBundle, type SmallBundle } from '../support/small-bundle.js';

const SESSIONS = ['one', 'other'];
const STEPS = 40;

/** An engine that is lost at any moment: all answers after it are those of one that never was. */
describe('an engine that takes over', () => {
  let bundle: SmallBundle;
  const engines: Engine[] = [];
  beforeAll(async () => {
    bundle = await makeSmallBundle();
  });
  afterAll(async () => {
    for (const engine of engines) await engine.dispose();
    await bundle?.remove();
  });

  async function load(): Promise<Engine> {
    const engine = await loadChainEngine({
      directory: bundle.directory,
      format: 'f32',
      threads: 1,
      preload: 'device-stages',
    });
    engines.push(engine);
    return engine;
  }

  it.each([1, 2, 3, 4, 5, 6])('gives what the first would have given, seed %i', async (seed) => {
    const random = seededRandom(seed);
    const [control, spare] = [await load(), await load()];
    let stepsLeft = Math.floor(random.next() * STEPS);
    const mortal = mortalEngine(await load(), () => stepsLeft-- > 0);
    let replaced = 0;
    const engine = new RecoveringEngine(mortal, async ({ code }) => {
      expect(code).toBe('ENGINE_FAILED');
      replaced++;
      return spare;
    });
    const walks = SESSIONS.map((session) => new Walk(session, random));
    for (const { options } of walks) await Promise.all([control.open(options), engine.open(options)]);
    for (let step = 0; step < STEPS; step++) {
      const requests = walks.map((walk) => walk.next());
      // Both sessions at once: the loss meets one or both.
      const given = await Promise.all(requests.map((request) => engine.step(request)));
      for (const [i, request] of requests.entries()) {
        const { engineMs: _, ...expected } = await control.step(request);
        const { engineMs: __, ...actual } = given[i]!;
        expect(actual, `step ${step}, ${JSON.stringify(request)}`).toEqual(expected);
        walks[i]!.settle(expected.length);
      }
    }
    expect(replaced).toBe(1);
  });

  it('lets other errors through, and is not replaced by them', async () => {
    const engine = new RecoveringEngine(await load(), () => Promise.reject(new Error('never')));
    const [walk] = [new Walk('one', seededRandom(1))];
    await engine.open(walk.options);
    const request = { ...walk.next(), from: 7 };
    await expect(engine.step(request)).rejects.toMatchObject({ code: 'PROTOCOL_VIOLATION' });
  });

  it('says so when nothing takes over', async () => {
    const nobody = new TandemError('ENGINE_UNAVAILABLE', 'no other');
    const engine = new RecoveringEngine(
      mortalEngine(await load(), () => false),
      () => Promise.reject(nobody),
    );
    const walk = new Walk('one', seededRandom(1));
    await engine.open(walk.options);
    await expect(engine.step(walk.next())).rejects.toBe(nobody);
  });
});

/** Steps are refused once `isAlive` says no, before or after they have run. */
function mortalEngine(engine: Engine, isAlive: () => boolean): Engine {
  let dead = false;
  const { info } = engine;
  return {
    info,
    open: (options) => engine.open(options),
    step: async (request) => {
      if (!dead) dead = !isAlive();
      if (dead) throw new TandemError('ENGINE_FAILED', 'lost');
      return await engine.step(request);
    },
    copy: (request) => engine.copy!(request),
    close: (session) => engine.close(session),
    dispose: async () => {},
  };
}

/** Requests as a session loop makes them: forward, back, deeper later, and between two continuations. */
class Walk {
  readonly options;
  readonly #random: Random;
  #length = 0;
  /** The other continuation: where it parts, and its length. */
  #aside: { place: number; length: number } | undefined;

  constructor(session: string, random: Random) {
    this.options = { session, firstStage: 0, endStage: 2, capacity: 120, codec: 'f32' as const };
    this.#random = random;
  }

  next(): StepRequest {
    const chance = this.#random.next();
    const exchange: number[] = [];
    let from = this.#length;
    if (chance < 0.15 && this.#length > 0) from = Math.floor(this.#random.next() * this.#length);
    else if (chance < 0.6 && this.#length > 2) {
      const place = this.#aside && this.#random.next() < 0.8 ? this.#aside.place : this.#length - 1;
      exchange.push(place);
      from = this.#aside?.place === place ? this.#aside.length : place;
      this.#aside = { place, length: this.#length };
    }
    if (this.#aside && from < this.#aside.place) this.#aside = undefined;
    const count = 1 + Math.floor(this.#random.next() * 3);
    const tokens = Int32Array.from({ length: from + count > 110 ? 1 : count }, () =>
      Math.floor(this.#random.next() * 61),
    );
    const depth = this.#random.next() < 0.5 ? 1 : 2;
    return {
      session: this.options.session,
      ...(exchange.length > 0 ? { exchange } : {}),
      from,
      input: { kind: 'tokens', tokens },
      depth,
      want: [from + tokens.length - 1],
      drafts: [],
      sampling: { temperature: 0.7, topK: 0, topP: 1, minP: 0, seed: 4 },
    };
  }

  settle(length: number): void {
    this.#length = length;
  }
}
