import { parseArgs } from 'node:util';
import { makeSmallBundle, type SmallBundle } from '../support/small-bundle.js';
import { loadChurn } from './churn.js';
import { loadDetachedSessions } from './detached-sessions.js';
import { loadIdleSockets } from './idle-sockets.js';
import { describeCheck, holds, isGood, type LoadReport } from './load-report.js';
import { loadOverload } from './overload.js';

/** `npm run load`: a real server under more than it is made for. Each test has a control experiment that must fail. */
const HELP = `npm run load -- [sockets|detached|churn|overload ...] [--size N] [--json]

  sockets    8,000 idle connections: 25 KiB of the server's memory each
  detached   50,000 sessions without a connection: contexts stay within their budget
  churn      20,000 times connect, ask, leave: nothing is left behind
  overload   45 seconds of four times what the server can do: it goes on doing what it can

  --size N   other than those
`;
const TESTS: Readonly<Record<string, { size: number; run(size: number, bundle: SmallBundle): Promise<LoadReport> }>> = {
  sockets: { size: 8_000, run: loadIdleSockets },
  detached: { size: 50_000, run: loadDetachedSessions },
  churn: { size: 20_000, run: loadChurn },
  overload: { size: 45, run: loadOverload },
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    size: { type: 'string' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const unknown = positionals.filter((name) => !Object.hasOwn(TESTS, name));
if (values.help || unknown.length > 0) {
  console.log(HELP);
  process.exit(unknown.length > 0 ? 1 : 0);
}
const bundle = await makeSmallBundle();
const reports: LoadReport[] = [];
for (const name of positionals.length > 0 ? positionals : Object.keys(TESTS)) {
  const { size, run } = TESTS[name]!;
  const report = await run(Number(values.size ?? size), bundle);
  reports.push(report);
  if (!values.json) print(report);
}
await bundle.remove();
console.log(JSON.stringify({ load: reports, passed: reports.every(isGood) }));
process.exit(reports.every(isGood) ? 0 : 1);

function print(report: LoadReport): void {
  console.log(`${report.test} ${report.size.toLocaleString('en')}`);
  for (const check of report.checks) console.log(`  ${holds(check) ? 'ok  ' : 'FAIL'} ${describeCheck(check)}`);
  const { control } = report;
  console.log(`  ${holds(control) ? 'FAIL' : 'ok  '} control, has to be beyond: ${describeCheck(control)}`);
  const figures = Object.entries(report.figures).map(([name, value]) => `${name} ${Number(value.toPrecision(4))}`);
  console.log(`       ${figures.join(', ')}\n`);
}
