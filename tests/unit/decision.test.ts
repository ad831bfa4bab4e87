import { type Decision, decide, MODES } from '@tandem/edge/testing';
import { expect, test } from 'vitest';

test.each<[(typeof MODES)[number], Decision, Decision]>([
  ['exact', 'verify', 'verify'],
  ['collaborative', 'accept', 'verify'],
  ['device-only', 'accept', 'accept'],
  ['cloud-only', 'verify', 'verify'],
])('%s: sure %s, unsure at the last exit %s', (mode, sure, unsure) => {
  expect(decide(mode, true, false)).toBe(sure);
  expect(decide(mode, true, true)).toBe(sure);
  expect(decide(mode, false, true)).toBe(unsure);
});

test('an unsure exit drafts where that pays, and settles nothing', () => {
  expect(decide('exact', false, false, true)).toBe('verify');
  expect(decide('collaborative', false, false, true)).toBe('verify');
  expect(decide('device-only', false, false, true)).toBe('deeper');
});

test('no mode settles at an exit that is unsure while there is a deeper one', () => {
  for (const mode of MODES) expect(decide(mode, false, false)).toBe('deeper');
});
