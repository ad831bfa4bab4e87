/** `npm run screenshots`, or with `-- playground` or `-- dashboard`: the pictures of docs/images, of the real pages in Chromium. */
import { fileURLToPath } from 'node:url';
import { CHROMIUM } from '../support/chromium.js';
import { dashboard } from './dashboard.js';
import { playground } from './playground.js';

const PAGES = { dashboard, playground };
const IMAGES = fileURLToPath(new URL('../../../docs/images/', import.meta.url));

if (!CHROMIUM) throw new Error('no Chromium here; install it, or name it in CHROMIUM');
const names = process.argv.slice(2);
for (const [name, take] of Object.entries(PAGES)) if (names.length === 0 || names.includes(name)) await take(IMAGES);
