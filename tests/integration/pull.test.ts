import { mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { prepareBundle, pullCheckpoint, readEstimate } from '@tandem/model-kit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { HUB_COMMIT, HUB_TOKEN, type HubServer, startHub } from '../support/hub-server.js';
import { removeFolder, temporaryFolder, writeRandomCheckpoint } from '../support/random-checkpoint.js';

const WEIGHTS = 'model.safetensors';

let checkpoint: string;
let files: Map<string, Buffer>;
let hub: HubServer;
let cache: string;

beforeAll(async () => {
  checkpoint = await writeRandomCheckpoint();
  files = new Map([['README.md', Buffer.from('not needed')]]);
  for (const name of await readdir(checkpoint)) files.set(name, await readFile(join(checkpoint, name)));
});
afterAll(() => removeFolder(checkpoint));
beforeEach(async () => {
  hub = await startHub(files);
  cache = await temporaryFolder('cache');
});
afterEach(async () => {
  await hub.close();
  await removeFolder(cache);
});

/** Waits between attempts pass at once. */
const clock = { now: () => 0, sleep: async () => {}, schedule: () => () => {} };

const pull = (options: Partial<Parameters<typeof pullCheckpoint>[1]> = {}, model = 'hf:org/tiny') =>
  pullCheckpoint(model, { cache, endpoint: hub.endpoint, clock, onProgress: () => hub.cut(), ...options });

const folder = () => join(cache, 'org--tiny', HUB_COMMIT);
const rangesOf = (path: string) => hub.requests.filter((request) => request.path === path).map(({ range }) => range);

describe('pull', () => {
  it('fetches what a checkpoint consists of, once, and it can be prepared', async () => {
    expect(await pull()).toBe(folder());
    expect((await readdir(folder())).sort()).toEqual(['config.json', WEIGHTS, 'tokenizer.json']);
    const count = hub.requests.length;
    expect(await pull({}, 'hf:org/tiny@v1.0')).toBe(folder());
    expect(hub.requests.length).toBe(count);
    const manifest = await prepareBundle({ checkpoint: folder(), cut: 2, formats: ['q8'], out: join(cache, 'bundle') });
    expect(manifest.layers).toBe(4);
  });

  it('goes on behind the last byte after every cut', async () => {
    hub.faults.set(WEIGHTS, [
      { kind: 'cut', afterBytes: 10_000 },
      { kind: 'cut', afterBytes: 5_000 },
      { kind: 'status', status: 503 },
    ]);
    await pull();
    expect(rangesOf(WEIGHTS)[0]).toBe('all');
    expect(rangesOf(WEIGHTS)).toHaveLength(4);
    expect(
      rangesOf(WEIGHTS)
        .slice(1)
        .every((range) => /^bytes=\d+-$/.test(range)),
    ).toBe(true);
    expect(await readFile(join(folder(), WEIGHTS))).toEqual(files.get(WEIGHTS));
  });

  it('gives up in the end, keeps what it has, and the next run goes on', async () => {
    hub.faults.set(WEIGHTS, [{ kind: 'cut', afterBytes: 20_000 }, ...Array(5).fill({ kind: 'status', status: 502 })]);
    await expect(pull()).rejects.toThrow(/^DOWNLOAD_FAILED: model.safetensors broke off 5 times at byte [1-9]/);
    expect(await readdir(folder())).toContain(`${WEIGHTS}.part`);
    hub.requests.length = 0;
    await pull();
    expect(rangesOf(WEIGHTS)[0]).toMatch(/^bytes=[1-9]\d*-$/);
    expect(await readFile(join(folder(), WEIGHTS))).toEqual(files.get(WEIGHTS));
  });

  it('starts anew where a server ignores the range or refuses it', async () => {
    await mkdir(folder(), { recursive: true });
    for (const fault of [{ kind: 'ignores-range' }, { kind: 'status', status: 416 }] as const) {
      await writeFile(join(folder(), `${WEIGHTS}.part`), Buffer.alloc(1_000, 9));
      hub.faults.set(WEIGHTS, [fault]);
      await pull();
      expect(await readFile(join(folder(), WEIGHTS))).toEqual(files.get(WEIGHTS));
      await rm(join(folder(), WEIGHTS));
    }
    // A part that is longer than the file.
    await writeFile(join(folder(), `${WEIGHTS}.part`), Buffer.alloc(files.get(WEIGHTS)!.length + 1));
    await pull();
    expect(await readFile(join(folder(), WEIGHTS))).toEqual(files.get(WEIGHTS));
  });

  it.each([
    [WEIGHTS, 'sha256'],
    ['tokenizer.json', 'git-sha1'],
  ])('throws away %s with the wrong %s', async (path, kind) => {
    hub.faults.set(path, [{ kind: 'wrong-bytes' }]);
    await expect(pull()).rejects.toThrow(`DOWNLOAD_FAILED: ${path} has ${kind}`);
    expect((await readdir(folder())).filter((name) => name.startsWith(path))).toEqual([]);
    await pull();
  });

  it('needs a token where the hub does, and sends it', async () => {
    hub.isPrivate = true;
    await expect(pull()).rejects.toThrow(/^UNAUTHORIZED: .*set HF_TOKEN/);
    await pull({ token: HUB_TOKEN });
    expect(hub.requests.every(({ token }) => token === HUB_TOKEN)).toBe(true);
    hub.faults.set(WEIGHTS, [{ kind: 'status', status: 403 }]);
    await rm(join(folder(), WEIGHTS));
    await expect(pull({ token: HUB_TOKEN })).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
  });

  it('says what is not there', async () => {
    await expect(pull({}, 'hf:org/none')).rejects.toMatchObject({ code: 'CHECKPOINT_NOT_FOUND' });
    await expect(pull({}, 'hf:org/tiny@v9')).rejects.toMatchObject({ code: 'CHECKPOINT_NOT_FOUND' });
    hub.faults.set('config.json', [{ kind: 'status', status: 404 }]);
    await expect(pull()).rejects.toThrow(/^CHECKPOINT_NOT_FOUND: config.json: status 404/);
    for (const wrong of ['hf:', 'hf:../x', 'hf:a/b/c', 'hf:a/..', 'hf:a/b@../c'])
      await expect(pull({}, wrong)).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  });

  it('never writes outside its folder, whatever the listing says', async () => {
    hub.listing = ['../config.json', 'a/model.safetensors', '/etc/config.json'].map((path) => ({
      type: 'file',
      path,
      size: 1,
      oid: 'b'.repeat(40),
    }));
    await expect(pull()).rejects.toThrow(/has no config.json/);
  });

  it.runIf(process.platform === 'linux')('tells that the disk is full', async () => {
    await mkdir(folder(), { recursive: true });
    await symlink('/dev/full', join(folder(), `${WEIGHTS}.part`));
    await expect(pull()).rejects.toMatchObject({ code: 'DISK_FULL' });
  });

  it('stops when it is told to, and a hub that is gone is no surprise', async () => {
    await expect(pull({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ABORTED' });
    await hub.close();
    await expect(pull()).rejects.toThrow(/^DOWNLOAD_FAILED: the hub cannot be reached/);
  });

  it('asks nobody when offline', async () => {
    await expect(pull({ offline: true })).rejects.toThrow(/^CHECKPOINT_NOT_FOUND: .*not in the cache/);
    await pull();
    await hub.close();
    expect(await pull({ offline: true })).toBe(folder());
    await rm(join(folder(), 'tokenizer.json'));
    await expect(pull({ offline: true })).rejects.toThrow(/tokenizer.json is gone from the cache/);
  });
});

describe('an estimate before the download', () => {
  it('reads the config alone, and its sizes are those of the bundle', async () => {
    const pulled = await pull({ files: ['config.json'] });
    expect(hub.requests.map(({ path }) => path)).toEqual(['config.json']);
    const estimate = await readEstimate(pulled, 128);
    expect(estimate).toMatchObject({ architecture: 'llama', layers: 4, width: 72, cut: 1, exits: [1], context: 128 });
    const { cut, exits } = estimate;
    const out = join(cache, 'estimated');
    const { stages } = await prepareBundle({ checkpoint, cut, exits, formats: ['f32'], out });
    const kvBytes = 2 * 128 * 2 * 12 * 4;
    // Position tables and norms are not counted: on a model this small they are a tenth.
    const fileBytes = stages[0]!.files.f32!.bytes;
    const weightBytes = estimate.formats.f32.deviceBytes - cut * kvBytes;
    expect(weightBytes / fileBytes).toBeGreaterThan(0.7);
    expect(weightBytes / fileBytes).toBeLessThan(1.2);
  });
});
