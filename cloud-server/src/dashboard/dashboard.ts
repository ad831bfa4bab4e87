import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { LiveFigures } from './live-figures.js';

export interface DashboardAnswer {
  type: string;
  body: Buffer | object;
}

/** Everything comes from this server, nothing is inline, and no other page may show it in a frame. */
export const DASHBOARD_HEADERS: Readonly<Record<string, string>> = {
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'same-origin',
};

const HTML = 'text/html; charset=utf-8';
const CSS = 'text/css; charset=utf-8';
const SCRIPT = 'text/javascript; charset=utf-8';

const page = (file: string) => new URL(`../../page/static/${file}`, import.meta.url);
const script = (file: string) => new URL(`../page/${file}`, import.meta.url);
const uplot = (file: string) => createRequire(import.meta.url).resolve(`uplot/dist/${file}`);

/** The whole site: a path that is not in here does not exist. */
const FILES: Readonly<Record<string, { type: string; file: string | URL }>> = {
  '/dashboard': { type: HTML, file: page('index.html') },
  '/dashboard/style.css': { type: CSS, file: page('style.css') },
  '/dashboard/icon.svg': { type: 'image/svg+xml', file: page('icon.svg') },
  '/dashboard/uplot.css': { type: CSS, file: uplot('uPlot.min.css') },
  '/dashboard/uplot.js': { type: SCRIPT, file: uplot('uPlot.iife.min.js') },
  ...Object.fromEntries(
    ['charts', 'format', 'history', 'main', 'tiles'].map((name) => [
      `/dashboard/${name}.js`,
      { type: SCRIPT, file: script(`${name}.js`) },
    ]),
  ),
};

const FIGURES = /^\/dashboard\/figures\/(\d{1,9})$/;

/** The live page: its files, and the figures that it draws. Whoever asks has been admitted. */
export class Dashboard {
  readonly #figures: LiveFigures;

  constructor(figures: LiveFigures) {
    this.#figures = figures;
  }

  /** Undefined where there is nothing. */
  async answer(path: string): Promise<DashboardAnswer | undefined> {
    const [, from] = FIGURES.exec(path) ?? [];
    if (from !== undefined) return { type: 'application/json', body: this.#figures.since(Number(from)) };
    const known = Object.hasOwn(FILES, path) ? FILES[path] : undefined;
    return known && { type: known.type, body: await readFile(known.file) };
  }
}
