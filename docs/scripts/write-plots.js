/** `npm run docs`: draws the plots of benchmarks.md and policies.md. */
import { writeFileSync } from 'node:fs';
import { plots } from './benchmark-plots.js';

for (const [name, svg] of Object.entries(plots())) {
  writeFileSync(new URL(`../benchmarks/${name}`, import.meta.url), svg);
  process.stdout.write(`docs/benchmarks/${name}\n`);
}
