import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { removeFolder, temporaryFolder, writeRandomCheckpoint } from '../support/random-checkpoint.js';
import { runTandem as tandem } from '../support/run-tandem.js';

let checkpoint: string;
let folder: string;
beforeAll(async () => {
  checkpoint = await writeRandomCheckpoint({ fittedExits: [1, 3] });
  folder = await temporaryFolder('command');
});
afterAll(async () => {
  await removeFolder(checkpoint);
  await removeFolder(folder);
});

describe('the tandem command', () => {
  it('prepares a bundle, shows and verifies it', async () => {
    const out = join(folder, 'bundle');
    const prepared = await tandem(
      'prepare',
      checkpoint,
      '--exits',
      '1,3',
      '--cut',
      '3',
      '--format',
      'q8,f16',
      '--out',
      out,
      '--name',
      'tiny',
    );
    expect(prepared).toMatchObject({ code: 0, stdout: `${out}: tiny, 3 stages, cut at layer 3, q8, f16\n` });
    expect(prepared.stderr).toMatch(/^1\/7 files, .* stage-0\.q8\.onnx\n/);
    const shown = await tandem('inspect', out, '--verify');
    expect(shown.code).toBe(0);
    expect(shown.stdout).toContain('stage  layers  runs on  head   q8');
    expect(shown.stdout).toMatch(/1 {6}1–3 {5}device {3}exit/);
    expect(shown.stdout).toContain('7 files match the manifest.');
    const json = await tandem('inspect', out, '--json');
    expect(JSON.parse(json.stdout)).toMatchObject({ name: 'tiny', cut: 3, formats: ['q8', 'f16'] });
  });

  it('reports every damaged file', async () => {
    const out = join(folder, 'damaged');
    await tandem('prepare', checkpoint, '--out', out);
    for (const file of ['stage-0.q8.onnx', 'tokenizer.json']) await writeFile(join(out, file), 'x');
    const { code, stderr } = await tandem('inspect', out, '--verify');
    expect(code).toBe(1);
    expect(stderr.match(/^BUNDLE_CORRUPT: /gm)).toHaveLength(2);
  });

  it.each([
    [['prepare'], "error: missing required argument 'checkpoint'"],
    [
      ['prepare', 'x', '--cutt', '4'],
      "error: unknown option '--cutt'\n(Did you mean --cut?)\n(add --help for the options)",
    ],
    [['prepar'], "error: unknown command 'prepar'\n(Did you mean prepare?)"],
    [['prepare', 'x'], 'INVALID_OPTION: no --out'],
    [['prepare', 'x', '--out', 'y', '--cut', '4x'], 'INVALID_OPTION: layer "4x"'],
    [['prepare', 'x', '--out', 'y', '--format', 'q5'], 'INVALID_OPTION: format "q5"; choose from f32, f16, q8, q4'],
    [['prepare', '/nowhere', '--out', 'y'], 'CHECKPOINT_INVALID: no config.json in /nowhere'],
    [['inspect', '/nowhere'], 'BUNDLE_NOT_FOUND: /nowhere/manifest.json cannot be read'],
  ])('answers %j in a line or two, without a stack', async (args, message) => {
    const { code, stderr, stdout } = await tandem(...args);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr.slice(0, message.length)).toBe(message);
    expect(stderr).not.toContain('    at ');
  });

  it('explains itself', async () => {
    const { code, stdout } = await tandem('prepare', '--help');
    expect(code).toBe(0);
    expect(stdout).toContain('$ tandem prepare models/tales --exits 2,4 --cut 4');
  });
});
