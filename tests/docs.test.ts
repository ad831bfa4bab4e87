import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { plots } from '../docs/scripts/benchmark-plots.js';
import { TABLES, withTables } from '../docs/scripts/tables.js';

/** Docs that repeat the code are checked against it. */
describe('docs', () => {
  it.each(Object.keys(TABLES))('the tables of %s are those of the code; else run `npm run docs`', (file) => {
    const text = readFileSync(new URL(`../docs/${file}`, import.meta.url), 'utf8');
    expect(withTables(file, text)).toBe(text);
  });

  it.each(Object.entries(plots()))('the plot %s is of the figures beside it; else run `npm run docs`', (name, svg) => {
    expect(readFileSync(new URL(`../docs/benchmarks/${name}`, import.meta.url), 'utf8')).toBe(svg);
  });

  it('every relative link of the Markdown pages leads somewhere', () => {
    for (const page of [
      'README.md',
      'CONTRIBUTING.md',
      'SECURITY.md',
      'docs/APPS.md',
      'docs/BROWSER.md',
      'docs/decisions/0002-libraries.md',
      ...['browser-chat', 'chat-parts', 'electron-chat', 'mobile', 'node-chat', 'playground', 'react-chat'].map(
        (name) => `examples/${name}/README.md`,
      ),
      'docs/ARCHITECTURE.md',
      'docs/PROTOCOL.md',
      'docs/operations.md',
      'docs/benchmarks.md',
    ]) {
      const url = new URL(`../${page}`, import.meta.url);
      for (const [, target] of readFileSync(url, 'utf8').matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)) {
        expect(() => readFileSync(new URL(target!, url)), `${page} links to ${target}`).not.toThrow(/ENOENT/);
      }
    }
  });
});
