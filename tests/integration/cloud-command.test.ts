import { cp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { webSocketConnect } from '@tandem/edge/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { serving, start } from '../support/cloud-command.js';
import { removeFolder, temporaryFolder } from '../support/random-checkpoint.js';
import { ask } from '../support/raw-http.js';
import { makeSmallBundle, type SmallBundle } from '../support/small-bundle.js';
import { WireClient } from '../support/wire-client.js';

describe('tandem-cloud', () => {
  let bundle: SmallBundle;

  beforeAll(async () => {
    bundle = await makeSmallBundle();
  });

  afterAll(() => bundle?.remove());

  it('serves, and stops with 0 on SIGTERM while a client is connected', async () => {
    const run = start(['--port', '0', '--log-level', 'error'], { TANDEM_MODEL: bundle.directory, TANDEM_THREADS: '1' });
    const port = await serving(run);
    expect(await ask(port, '/ready')).toMatchObject({ status: 200 });
    const target = { url: `ws://127.0.0.1:${port}`, sessionId: 'command-session-1', token: undefined };
    const client = await new WireClient(webSocketConnect(target)).opened();
    run.child.kill('SIGTERM');
    expect(await client.ended()).toMatchObject({ code: 1012 });
    expect(await run.ended).toEqual({ code: 0, signal: null });
    expect(run.err).toBe('');
  });

  it('takes its engine along when it is killed', async () => {
    const run = start(['--model', bundle.directory, '--port', '0', '--threads', '1']);
    await serving(run);
    run.child.kill('SIGKILL');
    expect(await run.ended).toEqual({ code: null, signal: 'SIGKILL' });
  });

  it.each([
    ['a missing bundle', ['--model', 'no-such-folder'], /^BUNDLE_NOT_FOUND: .*manifest\.json.*\n$/],
    ['an unknown flag', ['--modle', 'x'], /^INVALID_OPTION: .*--modle.*--model.*\n$/],
    ['no model', [], /^INVALID_OPTION: --model \(TANDEM_MODEL\): is required.*\n$/],
  ])('ends with 1 and one line on %s', async (_, args, message) => {
    const run = start(args);
    expect(await run.ended).toEqual({ code: 1, signal: null });
    expect(run.err).toMatch(message);
    expect(run.out).toBe('');
  });

  it('ends with 1 when a stage of the bundle is missing', async () => {
    const folder = await temporaryFolder('broken-bundle');
    await cp(bundle.directory, folder, { recursive: true });
    const stages = (await readdir(folder)).filter((file) => file.endsWith('.onnx')).sort();
    await rm(join(folder, stages.at(-1)!));
    const run = start(['--model', folder, '--port', '0']);
    expect(await run.ended).toEqual({ code: 1, signal: null });
    expect(run.err).toMatch(/^BUNDLE_NOT_FOUND: .*\.onnx.*\n$/);
    await removeFolder(folder);
  });
});
