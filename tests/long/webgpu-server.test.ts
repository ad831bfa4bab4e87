import { readFile } from 'node:fs/promises';
import { EdgeModel, type GenerationResult } from '@tandem/edge';
import { ChainEngine, generateUnsplit, type StageModel, systemClock } from '@tandem/shared';
import { loadStage, openBundle } from '@tandem/shared/node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Run, serving, start } from '../support/cloud-command.js';
import { ask, askText } from '../support/raw-http.js';
import { makeSmallBundle, type SmallBundle } from '../support/small-bundle.js';
import { HAS_VULKAN, onVulkan, VULKAN_ENVIRONMENT } from '../support/vulkan.js';

/** Keys and values of 64 positions take 288 KiB behind the cut, so that three short stories fill the smallest budget. */
const SHAPE = { kvHeads: 6, headDim: 48 };
const OPENINGS = ['w3 w14 w15 w9 w26', 'w7 w1 w8 w28', 'w16 w18 w3 w39 w8', 'w5 w5 w10'];
const STORY = { temperature: 0.8, seed: 3, maxOutputTokens: 8 };

/** `tandem-cloud --device webgpu` as people start it, on a driver in software, and the SDK as apps use it. */
describe.skipIf(!HAS_VULKAN)(onVulkan('a server on WebGPU'), () => {
  let bundle: SmallBundle;
  let model: EdgeModel;
  let run: Run;
  let port: number;
  /** The whole model in this process, each stage on the backend that it has in the story's mode. */
  let oracles: Record<'exact' | 'cloud-only', ChainEngine>;

  beforeAll(async () => {
    bundle = await makeSmallBundle(1, { shape: SHAPE });
    const { directory } = bundle;
    const flags = ['--device', 'webgpu', '--context-mib', '1', '--context-overcommit', '16', '--threads', '1'];
    run = start(['--model', directory, '--port', '0', ...flags], { ...VULKAN_ENVIRONMENT });
    model = await EdgeModel.load(directory, { format: 'f32', threads: 1 });
    const opened = await openBundle(directory);
    const { deviceStages, stages } = bundle.engine.info;
    const load = (index: number, device: 'cpu' | 'webgpu') => loadStage(opened, index, 'f32', { threads: 1, device });
    const gpu: StageModel[] = [];
    for (let index = 0; index < stages; index++) gpu.push(await load(index, 'webgpu'));
    const cpu = await Promise.all(gpu.slice(0, deviceStages).map((_, index) => load(index, 'cpu')));
    const engine = (of: (index: number) => StageModel) =>
      new ChainEngine(bundle.engine.info, async (index) => of(index), systemClock);
    oracles = { exact: engine((index) => cpu[index] ?? gpu[index]!), 'cloud-only': engine((index) => gpu[index]!) };
    port = await serving(run);
  });
  afterAll(async () => {
    await model?.dispose();
    run?.child.kill('SIGTERM');
    await run?.ended;
    for (const oracle of Object.values(oracles ?? {})) await oracle.dispose();
    await bundle?.remove();
  });

  function unsplit(mode: 'exact' | 'cloud-only', opening: string, maxOutputTokens: number): Promise<number[]> {
    return generateUnsplit(oracles[mode], {
      prompt: model.tokenizer.encode(opening),
      maxOutputTokens,
      sampling: { temperature: STORY.temperature, topK: 0, topP: 1, minP: 0, seed: STORY.seed },
      codec: 'f16',
      eosTokenIds: model.manifest.eosTokenIds,
      session: `${mode} ${opening}`,
    });
  }

  const newSession = (mode: 'exact' | 'cloud-only') =>
    model.createSession({ mode, onCloudUnavailable: 'wait', cloud: { url: `ws://127.0.0.1:${port}` } });
  const ids = ({ tokens }: GenerationResult) => tokens.map(({ id }) => id);

  /** Over all labels of a metric named without them. */
  async function metric(name: string): Promise<number> {
    const { text } = await askText(port, '/metrics');
    const lines = text.split('\n').filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`));
    return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
  }

  it('says what it runs on, and what the GPU held', async () => {
    const { engine, contextBytesMax } = (await ask(port, '/v1/info')).body as never as {
      engine: { backend: string; deviceMemory: { heldBytes: number; end: string; positionsMax: number } };
      contextBytesMax: number;
    };
    expect(engine.backend).toBe('onnxruntime-node webgpu');
    // 128 positions and 64: the longest context of 320 is more than was asked for.
    expect(engine.deviceMemory).toEqual({ heldBytes: 192 * 4_608, end: 'asked', positionsMax: 128 });
    expect(contextBytesMax).toBe(2 ** 20);
    expect(await metric('tandem_device_held_bytes')).toBe(192 * 4_608);
    expect(run.out).not.toMatch(/no memory|too slow/);
  });

  // Without the device's stages here keys and values take twice as much: two stories are more than fit.
  it.each([
    ['exact', OPENINGS],
    ['cloud-only', OPENINGS.slice(0, 2)],
  ] as const)('%s: tells what the unsplit model tells, while others take its memory', async (mode, openings) => {
    const evictions = 'tandem_context_evictions_total{to="rows"}';
    const before = await metric(evictions);
    const sessions = await Promise.all(openings.map(() => newSession(mode)));
    const told = await Promise.all(openings.map((opening, i) => sessions[i]!.generate(opening, STORY)));
    for (const [i, opening] of openings.entries()) {
      expect(ids(told[i]!), opening).toEqual(await unsplit(mode, opening, STORY.maxOutputTokens));
    }
    for (const session of sessions) await session.dispose();
    expect(await metric(evictions)).toBeGreaterThan(before);
  });

  it('tells it to its end when the engine is killed in the middle', async () => {
    const expected = await unsplit('exact', OPENINGS[1]!, 14);
    expect(expected.length).toBeGreaterThan(8);
    const session = await newSession('exact');
    // A beginning, so that there is a context to lose; then the engine stands still with the next step in its hands.
    await session.generate(OPENINGS[1]!, { ...STORY, maxOutputTokens: 4 });
    const engine = await engineProcess(run.child.pid!);
    const before = await metric('tandem_received_bytes_total');
    process.kill(engine, 'SIGSTOP');
    const generation = session.generate(OPENINGS[1]!, { ...STORY, maxOutputTokens: 14 });
    await expect.poll(() => metric('tandem_received_bytes_total')).toBeGreaterThan(before);
    process.kill(engine, 'SIGKILL');
    expect(ids(await generation)).toEqual(expected);
    await session.dispose();
    expect(await metric('tandem_engine_restarts_total')).toBe(1);
    expect(await metric('tandem_context_rebuilds_total')).toBeGreaterThan(0);
    const { body } = await ask(port, '/v1/info');
    expect(body).toMatchObject({ engine: { backend: 'onnxruntime-node webgpu' } });
  });
});

/** The server's one child. */
async function engineProcess(server: number): Promise<number> {
  return Number((await readFile(`/proc/${server}/task/${server}/children`, 'utf8')).trim().split(' ')[0]);
}
