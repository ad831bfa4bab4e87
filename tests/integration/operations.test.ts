import { type CloudServer, METRICS, startServer } from '@tandem/cloud';
import { EdgeModel } from '@tandem/edge';
import { type ChainEngine, generateUnsplit, limits } from '@tandem/shared';
import { loadChainEngine } from '@tandem/shared/node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { serving, start } from '../support/cloud-command.js';
import { ask, askText } from '../support/raw-http.js';
import { startSwitchProxy } from '../support/switch-proxy.js';
import { OPENINGS, talesBundle } from '../support/tales.js';

const CLIENTS = 10;
const ADMIN = 'canary-admin-token';
const BEARER = { Authorization: `Bearer ${ADMIN}` };

/** A server that is operated: looked at, upgraded under load, hurt. The text is the oracle. */
describe('operations', () => {
  let bundle: string;
  let model: EdgeModel;
  let oracle: ChainEngine;

  beforeAll(async () => {
    bundle = await talesBundle();
    model = await EdgeModel.load(bundle, { format: 'q8', threads: 1 });
    oracle = await loadChainEngine({ directory: bundle, format: 'q8', threads: 1, preload: 'all' });
  });

  afterAll(async () => {
    await model?.dispose();
    await oracle?.dispose();
  });

  const options = (seed: number) => ({ temperature: 0.8, seed, maxOutputTokens: 16 });

  /** One story in a session of its own. */
  async function tell(url: string, seed: number, token?: string): Promise<number[]> {
    const cloud = { url, ...(token ? { token } : {}) };
    const session = await model.createSession({ mode: 'exact', onCloudUnavailable: 'wait', cloud });
    const story = await session.generate(OPENINGS[seed % OPENINGS.length]!, options(seed));
    await session.dispose();
    return story.tokens.map(({ id }) => id);
  }

  function tellUnsplit(seed: number, opening = seed): Promise<number[]> {
    return generateUnsplit(oracle, {
      prompt: model.tokenizer.encode(OPENINGS[opening % OPENINGS.length]!),
      maxOutputTokens: 16,
      sampling: { temperature: 0.8, topK: 0, topP: 1, minP: 0, seed },
      codec: 'f16',
      eosTokenIds: model.manifest.eosTokenIds,
      session: `unsplit ${seed}`,
    });
  }

  describe('metrics and logs', () => {
    it('tell what happens under the documented names, to operators only', async () => {
      const parts = { model: bundle, format: 'q8', port: 0, threads: 1, adminToken: ADMIN, engines: 2 } as const;
      const server: CloudServer = await startServer({ ...parts, logLevel: 'silent' });
      await tell(server.url, 1);
      expect(await askText(server.port, '/metrics')).toMatchObject({ status: 401 });
      const wrong = { Authorization: 'Bearer wrong' };
      expect(await askText(server.port, '/metrics', { headers: wrong })).toMatchObject({ status: 401 });
      const basic = { Authorization: `Basic ${Buffer.from(`any:${ADMIN}`).toString('base64')}` };
      expect(await askText(server.port, '/metrics', { headers: basic })).toMatchObject({ status: 200 });
      const { text } = await askText(server.port, '/metrics', { headers: BEARER });
      for (const [name, { kind }] of Object.entries(METRICS)) expect(text).toContain(`# TYPE ${name} ${kind}\n`);
      const value = (sample: string) =>
        Number(
          text
            .split('\n')
            .find((line) => line.startsWith(`${sample} `))
            ?.slice(sample.length),
        );
      expect(value('tandem_tokens_total{origin="confirmed"}')).toBeGreaterThan(0);
      expect(value('tandem_received_bytes_total{codec="f16"}')).toBeGreaterThan(1_000);
      expect(value('tandem_first_verdict_seconds_count')).toBe(1);
      expect(value('tandem_steps_total{kind="interactive"}')).toBe(value('tandem_step_rows_count{kind="interactive"}'));
      expect(value('tandem_engines{state="available"}')).toBe(2);
      expect(value('tandem_sessions{state="connected"}')).toBe(0);
      await server.close();
    });

    it('hold no text, token id, row, credential or session id', async () => {
      const environment = { TANDEM_MODEL: bundle, TANDEM_FORMAT: 'q8', TANDEM_TOKEN: 'canary-credential' };
      const args = ['--port', '0', '--threads', '1', '--log-level', 'debug', '--admin-token', ADMIN];
      const run = start(args, environment);
      const port = await serving(run);
      const url = `ws://127.0.0.1:${port}`;
      const tokens = await tell(url, 3, 'canary-credential');
      // What is refused is logged, too: a wrong credential, one in the address, a session id, a token outside the vocabulary.
      await expect(tell(url, 3, 'canary-wrong-credential')).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
      await askText(port, '/v1/sessions/canary-session-id-0?token=canary-credential');
      const { text: metrics } = await askText(port, '/metrics', { headers: BEARER });
      const { body: info } = await ask(port, '/v1/info');
      run.child.kill('SIGTERM');
      await run.ended;
      const said = `${run.err}\n${metrics}\n${JSON.stringify(info)}`;
      expect(run.err).toContain('"level"');
      const secrets = secretsOf(OPENINGS[3]!, model.tokenizer.decode(tokens), tokens);
      expect(secrets.length).toBeGreaterThan(8);
      expect(secrets.filter((secret) => said.includes(secret))).toEqual([]);
      // The search can find: the same words in a log line.
      expect(
        secrets.filter((secret) => `${said}${JSON.stringify({ text: OPENINGS[3] })}`.includes(secret)),
      ).not.toEqual([]);
    });
  });

  it('an upgrade under load: clients move over, spread out, and lose nothing', async () => {
    const environment = { TANDEM_MODEL: bundle, TANDEM_FORMAT: 'q8', TANDEM_THREADS: '1', TANDEM_PORT: '0' };
    const old = start(['--log-level', 'error'], environment);
    const next = start(['--log-level', 'error'], environment);
    const proxy = await startSwitchProxy(await serving(old));
    const nextPort = await serving(next);
    const url = `ws://127.0.0.1:${proxy.port}`;
    let isOver = false;
    let stories = 0;
    const clients = Array.from({ length: CLIENTS }, async (_, client) => {
      const session = await model.createSession({ mode: 'exact', onCloudUnavailable: 'wait', cloud: { url } });
      for (let round = 0; !isOver; round++) {
        const seed = client * 1_000 + round;
        const story = await session.generate(OPENINGS[client]!, options(seed));
        expect(story.tokens.map(({ id }) => id)).toEqual(await tellUnsplit(seed, client));
        stories++;
      }
      await session.dispose();
    });
    while (stories < CLIENTS) await Promise.race([new Promise((resolve) => setTimeout(resolve, 20)), ...clients]);
    const before = proxy.arrivalsMs.length;
    expect(before).toBe(CLIENTS);
    proxy.target = nextPort;
    const startedMs = performance.now();
    old.child.kill('SIGTERM');
    expect(await old.ended).toEqual({ code: 0, signal: null });
    const drainedMs = performance.now() - startedMs;
    const told = stories;
    while (stories < told + CLIENTS)
      await Promise.race([new Promise((resolve) => setTimeout(resolve, 20)), ...clients]);
    isOver = true;
    await Promise.all(clients);
    expect(drainedMs).toBeLessThan(30_000);
    const arrivals = proxy.arrivalsMs.slice(before).map((ms) => ms - startedMs);
    expect(arrivals).toHaveLength(CLIENTS);
    // Ten moments at random in two seconds: less than a quarter of it between the first and the last is one in ten thousand.
    expect(Math.max(...arrivals) - Math.min(...arrivals)).toBeGreaterThan(limits.DRAIN_SPREAD_MS / 4);
    next.child.kill('SIGTERM');
    expect(await next.ended).toEqual({ code: 0, signal: null });
    await proxy.close();
    expect(`${old.err}${next.err}`).toBe('');
  });

  it('an engine that is killed again and again: sessions go on in the others', async () => {
    const server = await startServer({
      model: bundle,
      format: 'q8',
      port: 0,
      threads: 1,
      engines: 2,
      logLevel: 'silent',
    });
    let kills = 0;
    const stories = Promise.all(Array.from({ length: 8 }, (_, seed) => tell(server.url, seed)));
    const isOver = stories.then(() => true);
    while (!(await Promise.race([isOver, new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 40))]))) {
      const [victim] = server.engineProcessIds;
      if (kills < 5 && victim !== undefined) {
        process.kill(victim, 'SIGKILL');
        kills++;
      }
    }
    expect(kills).toBeGreaterThan(2);
    expect(await stories).toEqual(await Promise.all(Array.from({ length: 8 }, (_, seed) => tellUnsplit(seed))));
    await server.close();
  });
});

/** Three words in a row (single ones stand in the names of metrics, too), token ids as anybody would write a list of them, credentials. */
function secretsOf(prompt: string, text: string, tokens: readonly number[]): string[] {
  const words = `${prompt} ${text}`.split(/\s+/);
  const triples = words.slice(2).map((word, index) => `${words[index]} ${words[index + 1]} ${word}`);
  const lists = [tokens.slice(0, 3).join(','), tokens.slice(0, 3).join(', '), tokens.slice(0, 3).join(' ')];
  return [...triples, ...lists, prompt, 'canary', Buffer.from('canary-credential').toString('base64url')];
}
