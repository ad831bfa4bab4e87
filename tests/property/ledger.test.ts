import { applyPassage, type Ledger } from '@tandem/edge/testing';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  applyPassageBehindDrafts,
  LedgerThatCountsUnderWay,
  LedgerThatVouchesForAll,
  LedgerWithoutDraftCompare,
  LedgerWithoutEpochCheck,
  LinesThatStay,
} from './broken-ledgers.js';
import { LedgerSimulation, type Plants, type Scenario } from './ledger-simulation.js';

const CASES = 3_000;
/** A control experiment stops at its first failure, so it may look at more. */
const CONTROL_CASES = 6_000;

function scenarios(mode: Scenario['mode']): fc.Arbitrary<Scenario> {
  return fc.record({
    mode: fc.constant(mode),
    promptLength: fc.integer({ min: 1, max: 8 }),
    accuracy: fc.double({ min: 0.3, max: 1, noNaN: true }),
    draftLength: fc.integer({ min: 0, max: 7 }),
    hasLargerModel: fc.boolean(),
    actions: fc.array(fc.tuple(fc.nat(255), fc.nat(255)), { minLength: 20, maxLength: 160, size: 'max' }),
  });
}

function play(mode: Scenario['mode'], cases: number, seed: number, plants: Plants = {}): fc.RunDetails<[Scenario]> {
  const property = fc.property(scenarios(mode), (scenario) => new LedgerSimulation(scenario, plants).play());
  return fc.check(property, { numRuns: cases, seed, endOnFailure: true });
}

test.each([
  ['exact', 11],
  ['collaborative', 12],
  ['degrading', 13],
] as const)('%s: whatever is lost, repeated or rolled back, the cloud settles what one process would', (mode, seed) => {
  const property = fc.property(scenarios(mode), (scenario) => new LedgerSimulation(scenario).play());
  fc.assert(property, { numRuns: CASES, seed });
});

const rows = { kind: 'rows', vocabularySize: 100, bytesPerRow: 4 } as const;
test.each<[string, Plants, RegExp]>([
  ['a server that does not truncate', { cloud: 'no-truncate' }, /wrong token|stuck/],
  [
    'a ledger that takes verdicts of any epoch',
    { createLedger: (): Ledger => new LedgerWithoutEpochCheck(rows) },
    /wrong|fell|verdict on row/,
  ],
  [
    'a ledger that compares no drafts',
    { createLedger: () => new LedgerWithoutDraftCompare(rows) },
    /wrong token|stuck/,
  ],
  [
    'a ledger that vouches for rows of an older epoch',
    { createLedger: () => new LedgerThatVouchesForAll(rows) },
    /wrong/,
  ],
  [
    'a ledger that counts rows under way when a text is dropped',
    { createLedger: () => new LedgerThatCountsUnderWay(rows) },
    /wrong/,
  ],
  [
    'stages that go on with the branch where the main line is meant',
    { createLines: (ledger) => new LinesThatStay(ledger) },
    /wrong token|stuck|differs|hole|fed from/,
  ],
  [
    'a passage of another epoch that is taken',
    { applyPassage: (ledger, passage) => applyPassage(ledger, { ...passage, epoch: ledger.epoch }) },
    /wrong/,
  ],
  ['a passage that goes behind the drafts', { applyPassage: applyPassageBehindDrafts }, /wrong|stuck/],
])('control: %s is found out', (_name, plants, message) => {
  const { failed, errorInstance } = play('exact', CONTROL_CASES, 21, plants);
  expect(failed).toBe(true);
  expect(String(errorInstance)).toMatch(message);
});

test('control: a server that runs forwards of old epochs only wastes work', () => {
  const { failed } = play('exact', 1_000, 22, { cloud: 'no-epoch-check' });
  expect(failed).toBe(false);
});

test('branches are drafted and taken over in these simulations', () => {
  let branched = 0;
  let adopted = 0;
  const property = fc.property(scenarios('exact'), (scenario) => {
    const simulation = new LedgerSimulation(scenario);
    simulation.play();
    branched += simulation.branched;
    adopted += simulation.adopted;
  });
  fc.assert(property, { numRuns: 500, seed: 31 });
  expect(branched).toBeGreaterThan(500);
  expect(adopted).toBeGreaterThan(20);
});
