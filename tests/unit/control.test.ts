import { Acceptance, Controller, Ledger, LinkMeter, nextAction, type Situation } from '@tandem/edge/testing';
import { type DecodeCosts, draftThreshold, sendThreshold } from '@tandem/shared';
import { describe, expect, test } from 'vitest';
import { unverified } from '../support/ledger-entries.js';

const COSTS: DecodeCosts = {
  draftMs: 15,
  deeperMs: 9,
  rescueShare: 0.5,
  roundTripMs: 80,
  forwardMs: 25,
  cloudPrice: 1,
};

describe('the cost model', () => {
  test('sends at the chance where a later mismatch costs as much as one more forward', () => {
    const chance = sendThreshold(COSTS);
    expect((1 - chance) * COSTS.draftMs).toBeCloseTo(chance * COSTS.forwardMs, 9);
    expect(sendThreshold({ ...COSTS, cloudPrice: 0 })).toBe(1);
    expect(sendThreshold({ ...COSTS, cloudPrice: 4 })).toBeLessThan(chance);
    expect(sendThreshold({ ...COSTS, draftMs: 0, forwardMs: 0 })).toBe(1);
  });

  test('takes an early draft where deeper stages cost more than they can save', () => {
    const chance = draftThreshold(COSTS);
    expect((1 - chance) * 0.5 * (COSTS.roundTripMs + 2 * COSTS.forwardMs)).toBeCloseTo(COSTS.deeperMs, 9);
    expect(draftThreshold({ ...COSTS, roundTripMs: 800 })).toBeGreaterThan(chance);
    expect(draftThreshold({ ...COSTS, roundTripMs: 0, forwardMs: 3 })).toBe(0);
    expect(draftThreshold({ ...COSTS, rescueShare: 0 })).toBe(0);
    expect(draftThreshold({ ...COSTS, deeperMs: 0 })).toBe(1);
  });
});

describe('the next action', () => {
  const SITUATION: Situation = {
    canDraft: true,
    mainChance: 0.9,
    branchChance: 0,
    canSend: true,
    unsentChance: 0.9,
    sendThreshold: 0.4,
    draftFloor: 0.02,
  };
  test.each<[string, Partial<Situation>, string]>([
    ['drafts on while drafts are likely right', {}, 'draft'],
    ['sends a likely mismatch before anything else', { unsentChance: 0.4 }, 'send'],
    ['drafts on if the link takes nothing', { unsentChance: 0.1, canSend: false }, 'draft'],
    ['drafts the branch once it is likelier to be of use', { mainChance: 0.2, branchChance: 0.3 }, 'branch'],
    ['prefers the main line where both are alike', { mainChance: 0.3, branchChance: 0.3 }, 'draft'],
    ['drafts the branch when the main line is full', { canDraft: false, branchChance: 0.1 }, 'branch'],
    ['sends the rest when no draft is worth its energy', { mainChance: 0.01 }, 'send'],
    ['waits when there is nothing else', { mainChance: 0.01, branchChance: 0.02, canSend: false }, 'wait'],
  ])('%s', (_what, change, action) => {
    expect(nextAction({ ...SITUATION, ...change })).toBe(action);
  });
});

describe('acceptance', () => {
  test('believes the exit until verdicts say otherwise, bin by bin and exit by exit', () => {
    const acceptance = new Acceptance();
    const prior = acceptance.chance(1, 0.65);
    expect(prior).toBeCloseTo(1 - 0.6 * Math.exp(-6 * 0.65), 9);
    for (let i = 0; i < 300; i++) acceptance.judged(1, 0.65, i % 2 > 0);
    expect(acceptance.chance(1, 0.65)).toBeCloseTo(0.5, 1);
    expect(acceptance.chance(1, 0.75)).toBeGreaterThan(prior);
    expect(acceptance.chance(2, 0.65)).toBe(prior);
  });

  test('follows a text that changes', () => {
    const acceptance = new Acceptance();
    for (let i = 0; i < 3_000; i++) acceptance.judged(1, 0.5, true);
    for (let i = 0; i < 1_200; i++) acceptance.judged(1, 0.5, false);
    expect(acceptance.chance(1, 0.5)).toBeLessThan(0.15);
  });

  test('learns what deeper stages put right, less what they spoil', () => {
    const acceptance = new Acceptance();
    expect(acceptance.rescueShare).toBe(0.45);
    for (let i = 0; i < 200; i++) acceptance.wentDeeper(false, i % 5 > 0);
    expect(acceptance.rescueShare).toBeCloseTo(0.8, 1);
    for (let i = 0; i < 400; i++) acceptance.wentDeeper(true, false);
    expect(acceptance.rescueShare).toBe(0);
  });

  test('learns how often the second choice is the right one', () => {
    const acceptance = new Acceptance();
    const before = acceptance.secondChance;
    for (let i = 0; i < 50; i++) acceptance.mismatched(false);
    expect(acceptance.secondChance).toBeLessThan(before / 2);
  });
});

describe('the link meter', () => {
  const measure = (meter: LinkMeter, ms: number, times: number) => {
    for (let i = 0; i < times; i++) meter.answered(ms + 4, 3, 1);
  };

  test('smooths round trips and the time in the server', () => {
    const meter = new LinkMeter();
    expect(meter.roundTripMs).toBeUndefined();
    measure(meter, 40, 5);
    expect([meter.roundTripMs, meter.forwardMs]).toEqual([40, 4]);
    measure(meter, 48, 1);
    expect(meter.roundTripMs).toBe(41);
  });

  test('one outlier is worn down, a changed link is believed after three answers', () => {
    const meter = new LinkMeter();
    measure(meter, 40, 20);
    measure(meter, 400, 1);
    measure(meter, 40, 1);
    expect(meter.roundTripMs).toBeLessThan(90);
    measure(meter, 40, 40);
    measure(meter, 300, 3);
    expect(meter.roundTripMs).toBe(300);
    measure(meter, 20, 3);
    expect(meter.roundTripMs).toBe(20);
  });

  test('small numbers on a quick link are no outliers', () => {
    const meter = new LinkMeter();
    measure(meter, 0.5, 20);
    measure(meter, 3, 3);
    expect(meter.roundTripMs).toBeLessThan(2);
  });
});

test('no branch is opened where only its first token would fit', () => {
  const ledger = new Ledger({ kind: 'rows', vocabularySize: 100, bytesPerRow: 4 });
  ledger.begin([1, 2]);
  ledger.append(unverified(3, { probability: 0.1 }));
  ledger.feed(2);
  ledger.addRows(0, new Uint8Array(8));
  ledger.nextForward(false);
  const options = { draftLength: 1, draftFloor: 0, cloudPrice: 1, branches: true, draftsEarly: true };
  const controller = new Controller(options, new Acceptance(), undefined);
  const moment = { ledger, canDraft: true, cloud: 'there', canSend: true, eosTokenIds: new Set<number>() } as const;
  expect(controller.next({ ...moment, endLength: 4 })).toBe('branch');
  expect(controller.next({ ...moment, endLength: 3 })).toBe('wait');
});

test('an early draft is worth it only once the link is measured, and where it is likely enough to be right', () => {
  const meter = new LinkMeter();
  const options = { draftLength: 8, draftFloor: 0, cloudPrice: 1, branches: true, draftsEarly: true };
  const controller = new Controller(options, new Acceptance(), meter);
  controller.times.stepped(1, 10);
  controller.times.stepped(2, 9);
  expect(controller.isWorthDrafting(1, 0.9)).toBe(false);
  meter.answered(80 + 25, 25, 0);
  // From 1 - 9 / (0.45 (80 + 2 · 25)) on.
  expect(controller.isWorthDrafting(1, 0.3)).toBe(true);
  expect(controller.isWorthDrafting(1, 0.1)).toBe(false);
  const fixed = new Controller({ ...options, draftsEarly: false }, new Acceptance(), meter);
  expect(fixed.isWorthDrafting(1, 0.9)).toBe(false);
});
