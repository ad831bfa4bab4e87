import { existsSync, readFileSync } from 'node:fs';
import { environmentOf, flagOf, METRICS, OPTION_NAMES } from '@tandem/cloud';
import { describe, expect, it } from 'vitest';

/** The files under deploy/ repeat names of the code; these have to exist. What the files mean, their own tools check. */
const read = (file: string) => readFileSync(new URL(`../deploy/${file}`, import.meta.url), 'utf8');

describe('deploy', () => {
  it('the dashboard asks for metrics that there are, by labels that they have', () => {
    const { panels } = JSON.parse(read('grafana/dashboard.json')) as { panels: { targets: { expr: string }[] }[] };
    const expressions = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
    const used = new Set<string>();
    for (const expression of expressions) {
      for (const [, name] of expression.matchAll(/\b(tandem_\w+?)(?:_(?:bucket|sum|count))?(?=[[){ ]|$)/g))
        used.add(name!);
      for (const [, labels, name] of expression.matchAll(
        /by \(([^)]+)\) \((?:rate\()?(tandem_\w+?)(?:_bucket|_sum|_count)?[[)]/g,
      )) {
        const row = METRICS[name as keyof typeof METRICS];
        const known = ['le', 'label' in row ? row.label : ''];
        expect([name, labels!.split(', ').filter((label) => !known.includes(label))]).toEqual([name, []]);
      }
    }
    expect([...used].filter((name) => !(name in METRICS))).toEqual([]);
    // Whatever is measured can be seen.
    expect(Object.keys(METRICS).filter((name) => !used.has(name))).toEqual([
      'tandem_steps_total',
      'tandem_cancelled_steps_total',
      'tandem_context_rebuilt_rows_total',
    ]);
  });

  it.each(['Dockerfile', 'compose.yaml', 'tandem-cloud.service'])('%s knows options that there are', (file) => {
    const known = [...OPTION_NAMES.map(environmentOf), 'TANDEM_CONFIG'];
    const variables = [...read(file).matchAll(/\bTANDEM_[A-Z_]+/g)].map(([name]) => name);
    expect(variables.filter((name) => !known.includes(name))).toEqual([]);
    const flags = [...read(file).matchAll(/tandem-cloud\.js (--[a-z-]+)/g)].map(([, flag]) => flag);
    expect(flags.filter((flag) => ![...OPTION_NAMES.map(flagOf), '--config'].includes(flag!))).toEqual([]);
  });

  it('the image copies folders that there are', () => {
    for (const [, folder] of read('Dockerfile').matchAll(/COPY --from=build \/app\/(\S+)/g)) {
      expect([folder, existsSync(new URL(`../${folder}`, import.meta.url))]).toEqual([folder, true]);
    }
    expect(existsSync(new URL('../cloud-server/bin/tandem-cloud.js', import.meta.url))).toBe(true);
  });
});
