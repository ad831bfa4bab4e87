import { generateUnsplit } from '@tandem/shared';
import { expect, test } from 'vitest';
import { HandOffOracle, hasFixedPassages } from '../simulation/hand-off-oracle.js';
import { hashChainEngine } from '../simulation/hash-stage-model.js';
import { LARGER_MODEL, largerState, largerToken } from '../simulation/larger-text.js';
import { firstWrong } from '../simulation/oracle.js';
import { runSeed, runSeeds, sum } from '../simulation/run-seeds.js';
import { drawScenario } from '../simulation/scenario.js';
import { shrink } from '../simulation/shrink.js';
import { Dice, seedOf } from '../simulation/sim-random.js';
import { World } from '../simulation/world.js';
import { ManualClock } from '../support/manual-clock.js';

/** The whole of it runs as `npm run simulate`; here is what the simulation itself promises. */
const BASE = '7e57';
const SEEDS = Array.from({ length: 100 }, (_, index) => index);

test('every text is that of one process, whatever happens', async () => {
  const report = await runSeeds(BASE, SEEDS);
  expect(report.failures).toEqual([]);
  expect(report.faults).toBeGreaterThan(10 * SEEDS.length);
  expect(report.tokens).toBeGreaterThan(20 * SEEDS.length);
});

test('two runs of a seed are the same, event for event; another seed is another run', async () => {
  for (const index of SEEDS.slice(0, 20)) expect(await runSeed(BASE, index)).toEqual(await runSeed(BASE, index));
  const hashes = new Set(
    await Promise.all(SEEDS.slice(0, 20).map(async (index) => drawScenario(seedOf(BASE, index)).seed)),
  );
  expect(hashes.size).toBe(20);
  expect(seedOf('7f3a', 1)).not.toBe(seedOf('7f3b', 1));
});

test('reports add up in any order', () => {
  const one = {
    seeds: 1,
    faults: 2,
    tokens: 3,
    events: 4,
    traceHash: 2 ** 32 - 1,
    failures: [{ index: 9, what: 'x' }],
  };
  const two = { seeds: 1, faults: 1, tokens: 1, events: 1, traceHash: 5, failures: [{ index: 3, what: 'y' }] };
  expect(sum(one, two)).toEqual(sum(two, one));
  expect(sum(one, two)).toMatchObject({ seeds: 2, traceHash: 4, failures: [{ index: 3 }, { index: 9 }] });
});

test('a failing scenario shrinks to what it takes', async () => {
  const scenario = drawScenario(seedOf(BASE, 1));
  // A prompt that does not fit: an error that no fault has a part in, and that the app was not promised.
  const clients = scenario.clients.map((plan) => ({
    ...plan,
    options: { ...plan.options, capacity: 4 },
    turns: plan.turns.map((turn) => ({ ...turn, prompt: [1, 2, 3, 4], end: { kind: 'whole' } as const })),
  }));
  const shrunk = await shrink({ ...scenario, clients });
  expect(shrunk?.failure).toContain('CONTEXT_TOO_LONG');
  expect(shrunk?.scenario.faults).toEqual([]);
  expect(shrunk?.scenario.clients).toHaveLength(1);
  expect(shrunk?.scenario.clients[0]?.turns).toHaveLength(1);
});

test('the oracle, which knows no engine, says what the unsplit production engine says', async () => {
  const dice = new Dice(5);
  for (let run = 0; run < 20; run++) {
    const plan = drawScenario(run).clients[0]!;
    const turn = { ...plan.turns[0]!, maxOutputTokens: 24 };
    const { prompt, temperature, seed } = turn;
    const engine = hashChainEngine([dice.between(0, 1), 0.5], new ManualClock(), { failures: 0 });
    const sampling = { temperature, topK: 0, topP: 1, minP: 0, seed };
    const ids = await generateUnsplit(engine, { prompt, maxOutputTokens: 24, sampling, codec: 'f16', eosTokenIds: [] });
    const tokens = ids.map((id, i) => ({ id, position: prompt.length + i, origin: { kind: 'cloud' } as const }));
    const expected = { plan, turn, prompt, accuracy: [0.5, 0.5], hasEos: false };
    expect(firstWrong(tokens, expected)).toBeUndefined();
    const wrong = tokens.map((token, i) => (i === 7 ? { ...token, id: (token.id + 1) % 24 } : token));
    expect(firstWrong(wrong, expected)).toMatch(/^token 7: /);
    expect(
      firstWrong(
        tokens.filter((_, i) => i !== 3),
        expected,
      ),
    ).toMatch(/^token 3 has position/);
  }
});

test('rows and steps are shared, and a larger model writes, fails and is cut off', async () => {
  let hits = 0;
  let batches = 0;
  const passages: Record<string, number> = {};
  const fixed: boolean[] = [];
  for (const index of Array.from({ length: 200 }, (_, i) => i)) {
    const scenario = drawScenario(seedOf(BASE, index));
    fixed.push(scenario.clients.some((plan) => hasFixedPassages(scenario, plan)));
    const world = new World(scenario);
    expect((await world.run()).failure).toBeUndefined();
    for (const server of world.servers) {
      hits += server.prefixHits;
      batches += server.batches;
      for (const [end, count] of Object.entries(server.passages)) passages[end] = (passages[end] ?? 0) + count;
    }
  }
  expect(hits).toBeGreaterThan(5);
  expect(batches).toBeGreaterThan(50);
  expect(passages.finished).toBeGreaterThan(20);
  expect(Object.keys(passages).length, 'ways to end').toBeGreaterThan(2);
  expect(fixed.filter(Boolean).length).toBeGreaterThan(3);
});

test('the oracle knows every token of the larger model, and where it may stand', () => {
  const plan = drawScenario(1).clients[0]!;
  const turn = { ...plan.turns[0]!, maxOutputTokens: 24 };
  const prompt = [2, 3, 4];
  const ids: number[] = [];
  for (let i = 0; i < 8; i++) ids.push(largerToken(largerState([...prompt, ...ids]), false));
  const origin = { kind: 'larger-model', model: LARGER_MODEL } as const;
  const tokens = ids.map((id, i) => ({ id, position: prompt.length + i, origin }));
  const allowed = { ...plan, options: { ...plan.options, largerModel: 'allow' as const } };
  const expected = { plan: allowed, turn, prompt, accuracy: [0.5, 0.5], hasEos: false };
  expect(firstWrong(tokens, expected)).toBeUndefined();
  expect(firstWrong(tokens.with(5, { ...tokens[5]!, id: (ids[5]! + 1) % 24 }), expected)).toMatch(
    /^token 5: .* larger/,
  );
  expect(
    firstWrong(tokens, { ...expected, plan: { ...plan, options: { ...plan.options, largerModel: 'never' } } }),
  ).toMatch(/without consent/);
  const larger = { window: 1, patience: 1, ceiling: 9, floor: 0, tokensMax: 8, timeoutMs: 1_000, pieceMs: 0 };
  const never = new HandOffOracle(larger, allowed);
  expect(firstWrong(tokens, { ...expected, handOff: never })).toMatch(/^token 0: .* out of place/);
});

test('contexts are compacted, and dropped, while their texts are told', async () => {
  const evictions = { rows: 0, nothing: 0 };
  for (const index of SEEDS.slice(0, 80)) {
    const world = new World(drawScenario(seedOf(BASE, index)));
    await world.run();
    for (const server of world.servers) {
      evictions.rows += server.evictions.rows;
      evictions.nothing += server.evictions.nothing;
    }
  }
  expect(evictions.rows).toBeGreaterThan(10);
  expect(evictions.nothing).toBeGreaterThan(2);
});
