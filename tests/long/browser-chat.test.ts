import { presets } from '@tandem/netsim';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { accessibilityViolations } from '../support/accessibility.js';
import { type BuildKind, type BuiltExample, startExample } from '../support/built-example.js';
import { CHROMIUM, inChromium } from '../support/chromium.js';

const OPENING = 'Once upon a time there was a little girl named Mia who loved to paint.';

const PAGES: [string, BuildKind][] = [
  ['browser-chat', 'production'],
  ['react-chat', 'development'],
];

/** Two ways to write the same page, built by Vite as any app would be, under a strict policy. */
describe.skipIf(!CHROMIUM).each(PAGES)(inChromium('examples/%s'), (name, kind) => {
  let example: BuiltExample;
  beforeAll(async () => {
    example = await startExample(name, kind);
  });
  afterAll(() => example?.close());

  it('writes a story turn by turn, and stops when asked to', async () => {
    const screen = await example.open();
    const first = await screen.answer(OPENING);
    expect(first.trim().length).toBeGreaterThan(20);
    expect((await screen.answer('')).trim().length).toBeGreaterThan(5);
    example.link.setProfile(presets['3g']);
    await screen.begin('Then Mia saw a dog.');
    await screen.page.click('#stop');
    await screen.says('Stopped.');
    example.link.setProfile({});
    const turns = await screen.turns();
    expect(turns.map(({ by }) => by)).toEqual(['you', 'model', 'model', 'you', 'model']);
    expect(turns[0]!.text).toBe(OPENING);
    expect(await screen.count('alone')).toBe(0);
    for (const colorScheme of ['light', 'dark'] as const) {
      await screen.page.emulateMedia({ colorScheme });
      expect(await accessibilityViolations(screen.page)).toEqual([]);
    }
    expect(screen.complaints).toEqual([]);
    await screen.page.context().close();
  });

  it.skipIf(name !== 'react-chat')('goes on with the same story in another mode', async () => {
    const screen = await example.open();
    await screen.answer(OPENING);
    const before = await screen.turns();
    await screen.page.selectOption('select', 'device-only');
    await screen.page.locator('#connection').getByText('idle').waitFor();
    expect((await screen.answer('')).trim().length).toBeGreaterThan(5);
    expect((await screen.turns()).slice(0, 2)).toEqual(before);
    expect(screen.complaints).toEqual([]);
  });
});
