import { register } from 'node:module';
import { PLANTED_BUGS } from './planted-bugs.js';

/** Loaded before everything else in a worker that runs with a planted bug. */
const bug = PLANTED_BUGS.find(({ name }) => name === process.env.TANDEM_PLANTED_BUG);
if (!bug) throw new Error(`no planted bug is called ${process.env.TANDEM_PLANTED_BUG}`);
register('./plant-hooks.js', import.meta.url, { data: bug });
