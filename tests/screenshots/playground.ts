import type { Page } from 'playwright-core';
import { launchChromium } from '../support/chromium.js';
import { startPlayground } from '../support/playground.js';

/**
 * The playground: a story beside the same one with all layers on the server, a story in the middle of being told on a
 * train with its drafts in view, and a phone.
 */
export async function playground(folder: string): Promise<void> {
  const [browser, { url, close }] = await Promise.all([launchChromium(), startPlayground()]);
  const keep = async (page: Page, name: string) => {
    await page.screenshot({ path: `${folder}${name}.png`, fullPage: name !== 'playground-phone' });
    process.stdout.write(`docs/images/${name}.png\n`);
  };
  const open = async (options: Parameters<typeof browser.newPage>[0]) => {
    const page = await browser.newPage(options);
    await page.goto(url);
    await page.waitForSelector('#tell:enabled');
    // Kernels and caches of a browser that has just started are cold.
    await tellWith(page, 'wifi');
    return page;
  };
  try {
    const light = await open({ viewport: { width: 1280, height: 900 }, colorScheme: 'light' });
    await light.check('#compare');
    await tellWith(light, '4g');
    await keep(light, 'playground-light');
    await light.close();

    const dark = await open({ viewport: { width: 1280, height: 900 }, colorScheme: 'dark' });
    await dark.selectOption('#preset', 'train (made up)');
    await dark.click('#tell');
    await whileDrafting(dark);
    await keep(dark, 'playground-dark');
    await dark.close();

    const phone = await open({ viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, colorScheme: 'light' });
    await phone.selectOption('#preset', '3g');
    await phone.click('#tell');
    await whileDrafting(phone);
    await keep(phone, 'playground-phone');
  } finally {
    await browser.close();
    await close();
  }
}

async function tellWith(page: Page, preset: string): Promise<void> {
  await page.selectOption('#preset', preset);
  await page.click('#tell');
  await page.getByText('Told.', { exact: true }).waitFor();
}

/** Some text is settled, and more is waiting for its verdict. */
async function whileDrafting(page: Page): Promise<void> {
  await page.waitForFunction(() => {
    const settled = document.querySelectorAll('#split .token:not(.provisional)').length;
    const drafts = document.querySelector('#split .provisional')?.textContent ?? '';
    return settled > 30 && drafts.length > 12;
  });
}
