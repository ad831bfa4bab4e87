import { TandemError } from '@tandem/shared';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import type { PageActions } from '../browser/pages/edge-page.js';
import { OPENINGS } from './tales.js';

/** tests/browser/pages/edge-page.ts, opened; its actions from here, and everything that it complained about. */
export interface EdgePage {
  page: Page;
  context: BrowserContext;
  complaints: string[];
  act<Name extends keyof PageActions>(
    name: Name,
    ...parameters: Parameters<PageActions[Name]>
  ): Promise<Awaited<ReturnType<PageActions[Name]>>>;
}

export async function openEdgePage(browser: Browser, url: string): Promise<EdgePage> {
  const context = await browser.newContext();
  return await openIn(context, url);
}

/** Another tab of the same visitor. */
export async function openIn(context: BrowserContext, url: string): Promise<EdgePage> {
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('console', (line) => {
    if (line.type() === 'error' || line.type() === 'warning') complaints.push(line.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  await page.goto(url);
  // A text would be evaluated, which the page's policy forbids.
  await page.waitForFunction(() => 'act' in globalThis);
  return {
    page,
    context,
    complaints,
    async act(name, ...parameters) {
      const answer = (await page.evaluate(
        ([what, list]) => (globalThis as unknown as PageScope).act(what as string, list as unknown[]),
        [name, parameters],
      )) as { value: never } | { failure: { code: never; message: string } };
      if ('value' in answer) return answer.value;
      const { code, message } = answer.failure;
      // Not ours: a bug of the page or of the SDK.
      if (code === ('UNKNOWN' as string)) throw new Error(message);
      throw new TandemError(code, message);
    },
  };
}

interface PageScope {
  act(name: string, parameters: unknown[]): Promise<unknown>;
}

/** A story for a page to tell: one opening, sampled with a seed of its own. */
export function sampledStory(cloudUrl: string, index: number, maxOutputTokens = 40) {
  return { cloudUrl, opening: OPENINGS[index]!, temperature: 0.8, seed: index, maxOutputTokens };
}
