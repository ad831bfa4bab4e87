import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { MessageChannel } from 'node:worker_threads';
import { EdgeModel } from '@tandem/edge';
import { ModelHost, portOf } from '@tandem/edge/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Bench, startBench, tellUnsplit } from '../support/exactness.js';
import { OPENINGS } from '../support/tales.js';

/** Everywhere that a model can run for an app, beside a worker (tests/integration/model-host.test.ts). */
let bench: Bench;
beforeAll(async () => {
  bench = await startBench('q8');
});
afterAll(() => bench.close());

const opening = OPENINGS[14]!;
const rules = { temperature: 0.8, seed: 6, maxOutputTokens: 30 };
const options = { format: 'q8', threads: 1 } as const;

interface Hosted {
  model: EdgeModel;
  end(): Promise<void>;
}

const HOST = fileURLToPath(import.meta.resolve('@tandem/edge/host'));
const UTILITY_PROCESS = new URL('../dist/support/utility-process.js', import.meta.url).href;

async function inProcess(execArgv: string[] = []): Promise<Hosted> {
  const child = fork(HOST, { serialization: 'advanced', execArgv });
  const model = await EdgeModel.connect(child, bench.bundle, options);
  const end = async () => {
    await model.dispose();
    child.kill();
    await once(child, 'exit');
  };
  return { model, end };
}

/** Where a model can run, beside a worker. */
const HOSTS: Record<string, () => Promise<Hosted>> = {
  'a child process': () => inProcess(),
  "Electron's utility process": () => inProcess(['--import', UTILITY_PROCESS]),
  'the far end of a message channel': async () => {
    const { port1, port2 } = new MessageChannel();
    new ModelHost(portOf(port2).port);
    const model = await EdgeModel.connect(port1, bench.bundle, options);
    const end = async () => {
      await model.dispose();
      port1.close();
    };
    return { model, end };
  },
};

it.each(Object.entries(HOSTS))('in %s it tells the text of the unsplit run, in parts', async (_name, start) => {
  const { model, end } = await start();
  const session = await model.createSession({ cloud: { url: () => bench.server.url } });
  const generation = session.generate(opening, rules);
  let parts = 0;
  for await (const _part of generation) parts++;
  const { tokens } = await generation;
  expect(parts).toBeGreaterThan(20);
  expect(tokens.map(({ id }) => id)).toEqual(await tellUnsplit(bench, { opening, ...rules }));
  await session.dispose();
  await end();
});
