import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { systemClock } from '@tandem/shared';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Bench, type Story, startBench, tellUnsplit } from '../support/exactness.js';
import { type Breach, NetworkNamespaces, type Side } from '../support/network-namespaces.js';
import type { DeviceJob, DeviceNews } from '../support/partitioned-device.js';
import { OPENINGS } from '../support/tales.js';

const CLOUD = fileURLToPath(new URL('../../cloud-server/bin/tandem-cloud.js', import.meta.url));
const DEVICE = fileURLToPath(new URL('../dist/support/partitioned-device.js', import.meta.url));
const TOKEN = 'token-of-partitions';
const PORT = 8787;
/** As the issue of this promise has it: the session goes on so soon after the link is back. */
const RESUME_MS_MAX = 2_000;
/** Tokens that are told before the cable is cut. */
const TOLD = 20;
const story: Story = { opening: OPENINGS[7]!, temperature: 0.8, seed: 11, maxOutputTokens: 160 };

const obstacle = NetworkNamespaces.obstacle();

/** The kernel's own partitions between a real server and a real device, each in a network namespace of its own. */
describe.skipIf(obstacle)(obstacle ? `partition (skipped: ${obstacle})` : 'partition', () => {
  let bench: Bench;
  let net: NetworkNamespaces;
  const running: ChildProcess[] = [];
  let expected: number[];

  function inside(side: Side, script: string, args: string[]): ChildProcess {
    const [command, before] = net.inside(side);
    const child = spawn(command, [...before, process.execPath, script, ...args], {
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    });
    running.push(child);
    return child;
  }

  beforeAll(async () => {
    bench = await startBench('q8');
    expected = await tellUnsplit(bench, story);
    expect(expected.length).toBeGreaterThan(4 * TOLD);
    net = new NetworkNamespaces();
    const flags = ['--host', net.address, '--port', String(PORT), '--format', 'q8', '--threads', '1', '--token', TOKEN];
    const server = inside('cloud', CLOUD, ['--model', bench.bundle, ...flags]);
    await once(server.stdout!, 'data');
  });

  afterAll(async () => {
    for (const child of running) child.kill('SIGKILL');
    net?.close();
    await bench?.close();
  });

  it.each<[Breach, string, number, boolean]>([
    ['link', 'for a second', 1_000, false],
    ['route', 'for a second', 1_000, false],
    ['link', 'for long, with an app that says when it is back', 6_000, true],
    ['route', 'for long, with an app that says when it is back', 6_000, true],
  ])('%s down %s: not a token changes, and it goes on at once', async (breach, _, outageMs, reconnects) => {
    const device = inside('edge', DEVICE, []);
    const gone = once(device, 'exit');
    const news: DeviceNews[] = [];
    const heard: { id: number; atMs: number }[] = [];
    device.on('message', (word: DeviceNews) => {
      news.push(word);
      if (word.kind === 'token') heard.push({ id: word.id, atMs: systemClock.now() });
    });
    device.send({ bundle: bench.bundle, url: `ws://${net.address}:${PORT}`, token: TOKEN, story } satisfies DeviceJob);
    while (heard.length < TOLD) await once(device, 'message');

    net.break(breach);
    const brokenAtMs = systemClock.now();
    await systemClock.sleep(outageMs);
    const backAtMs = systemClock.now();
    net.heal(breach);
    if (reconnects) device.send('reconnect');
    await gone;

    // The control: with the cable cut nothing gets through but what was on its way.
    const meanwhile = heard.filter(({ atMs }) => atMs > brokenAtMs + 300 && atMs < backAtMs);
    expect(meanwhile).toEqual([]);
    const resumed = heard.find(({ atMs }) => atMs >= backAtMs);
    const resumeMs = resumed!.atMs - backAtMs;
    console.log(`${breach} down for ${outageMs} ms: the next token came ${Math.round(resumeMs)} ms after it was back`);
    expect(resumeMs).toBeLessThanOrEqual(RESUME_MS_MAX);
    const ends = news.filter(({ kind }) => kind === 'told' || kind === 'failed');
    expect(ends).toEqual([{ kind: 'told', ids: expected }]);
    expect(heard.map(({ id }) => id)).toEqual(expected);
  });
});
