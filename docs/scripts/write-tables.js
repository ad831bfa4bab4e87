/** `npm run docs`: writes every generated table into its page. */
import { readFileSync, writeFileSync } from 'node:fs';
import { TABLES, withTables } from './tables.js';

for (const file of Object.keys(TABLES)) {
  const path = new URL(`../${file}`, import.meta.url);
  writeFileSync(path, withTables(file, readFileSync(path, 'utf8')));
  process.stdout.write(`${file}\n`);
}
