import { writeFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { environmentOf, flagOf, OPTION_NAMES, parseServerOptions, readCommandLine } from '@tandem/cloud/testing';
import { limits } from '@tandem/shared';
import { describe, expect, it } from 'vitest';
import { removeFolder, temporaryFolder } from '../support/random-checkpoint.js';

function read(args: string[], environment: Record<string, string> = {}) {
  return readCommandLine(args, environment, '1.2.3');
}

function served(args: string[], environment: Record<string, string> = {}) {
  const commandLine = read(args, environment);
  if (commandLine.kind !== 'serve') throw new Error('nothing to serve');
  return commandLine.options;
}

describe('command line', () => {
  it('fills in the defaults', () => {
    expect(served(['--model', 'bundle'])).toEqual({
      model: 'bundle',
      host: '127.0.0.1',
      device: 'cpu',
      port: 8787,
      engines: 1,
      batchSessions: 'auto',
      contextMib: Math.floor(totalmem() / 2 ** 22),
      contextOvercommit: 1,
      token: [],
      key: [],
      allowOrigin: [],
      insecureNoAuth: false,
      sessionsMax: limits.SESSIONS_MAX,
      resumeWindowMs: limits.RESUME_WINDOW_MS,
      completions: false,
      largerModelCeiling: 2.5,
      largerModelFloor: 2,
      largerModelTokens: 64,
      largerModelTimeoutMs: 5_000,
      logLevel: 'info',
    });
  });

  it('takes flags before the environment and the environment before defaults', () => {
    const environment = { TANDEM_MODEL: 'theirs', TANDEM_PORT: '1', TANDEM_THREADS: '3', TANDEM_HOST: '' };
    const options = served(['--model', 'mine', '--port=2'], environment);
    expect(options).toMatchObject({ model: 'mine', port: 2, threads: 3, host: '127.0.0.1' });
  });

  it('takes the environment before the file of --config, and the file before defaults', async () => {
    const folder = await temporaryFolder('server-config');
    const file = join(folder, 'server.json');
    writeFileSync(file, JSON.stringify({ model: 'filed', port: 5, token: ['filed-secret'], sessionsMax: 7 }));
    const options = served(['--config', file, '--sessions-max', '9'], { TANDEM_PORT: '6' });
    expect(options).toMatchObject({ model: 'filed', port: 6, sessionsMax: 9, token: ['filed-secret'] });
    expect(served([], { TANDEM_CONFIG: file }).port).toBe(5);
    writeFileSync(file, '{"token": "filed-secret", ');
    expect(() => served(['--config', file])).toThrow(/--config .*server\.json cannot be read as JSON$/);
    writeFileSync(file, '[]');
    expect(() => served(['--config', file])).toThrow(/no JSON object/);
    writeFileSync(file, '{"model": "b", "prot": 1}');
    expect(() => served(['--config', file])).toThrow(/unknown option prot/);
    await removeFolder(folder);
  });

  it('reads lists from repeated flags and from commas', () => {
    expect(served(['--model', 'b', '--token', 'one', '--token', 'two']).token).toEqual(['one', 'two']);
    expect(served(['--model', 'b'], { TANDEM_TOKEN: 'one,two' }).token).toEqual(['one', 'two']);
  });

  it('has an environment twin and a line in --help for every option', () => {
    const help = read(['--help']);
    const text = help.kind === 'print' ? help.text.replaceAll(/\s+/g, ' ') : '';
    for (const name of OPTION_NAMES) {
      expect(text).toContain(`${flagOf(name)} `);
      expect(text).toMatch(new RegExp(`\\(${environmentOf(name)}; (default: .+|required)\\)`));
    }
    expect(flagOf('resumeWindowMs')).toBe('--resume-window-ms');
    expect(environmentOf('resumeWindowMs')).toBe('TANDEM_RESUME_WINDOW_MS');
    expect(read(['--version'])).toEqual({ kind: 'print', text: '1.2.3\n' });
  });

  it.each([
    ['no model', [], /--model \(TANDEM_MODEL\): is required/],
    ['an unknown flag', ['--modle', 'b'], /unknown option '--modle' \(Did you mean --model\?\)/],
    ['an extra argument', ['--model', 'b', 'serve'], /too many arguments/],
    ['a port that is none', ['--model', 'b', '--port', 'http'], /--port \(TANDEM_PORT\)/],
    ['a port that is too high', ['--model', 'b', '--port', '65536'], /--port/],
    ['a switch that is neither', ['--model', 'b'], /--insecure-no-auth/, { TANDEM_INSECURE_NO_AUTH: 'perhaps' }],
    ['an unknown log level', ['--model', 'b', '--log-level', 'loud'], /--log-level/],
    [
      'a larger model without a name',
      ['--model', 'b', '--larger-model-url', 'http://a/v1'],
      /needs --larger-model-name/,
    ],
    ['a larger model without an address', ['--model', 'b', '--larger-model-name', 'big'], /needs --larger-model-url/],
    [
      'an address of another kind',
      ['--model', 'b', '--larger-model-url', 'file:///a'],
      /an http:\/\/ or https:\/\/ address/,
    ],
    ['an entropy that is none', ['--model', 'b', '--larger-model-ceiling', 'high'], /--larger-model-ceiling/],
    ['a floor above the ceiling', ['--model', 'b', '--larger-model-floor', '3'], /floor 3 must be below .*ceiling 2.5/],
    ['other machines without a credential', ['--model', 'b', '--host', '0.0.0.0'], /give a --token/],
  ])('refuses %s', (_, args, message, environment: Record<string, string> = {}) => {
    expect(() => read(args, environment)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
    expect(() => read(args, environment)).toThrow(message);
  });

  it('serves other machines with a credential, or when told to', () => {
    expect(served(['--model', 'b', '--host', '0.0.0.0', '--token', 'secret']).host).toBe('0.0.0.0');
    expect(served(['--model', 'b', '--host', '::', '--insecure-no-auth']).insecureNoAuth).toBe(true);
  });

  it('reads a larger model from flags and from the environment', () => {
    const flags = ['--larger-model-url', 'http://localhost:8000/v1', '--larger-model-name', 'qwen3:8b'];
    const environment = { TANDEM_LARGER_MODEL_KEY: 'secret', TANDEM_LARGER_MODEL_CEILING: '1.75' };
    expect(served(['--model', 'b', ...flags, '--larger-model-floor', '1'], environment)).toMatchObject({
      largerModelUrl: 'http://localhost:8000/v1',
      largerModelName: 'qwen3:8b',
      largerModelKey: 'secret',
      largerModelCeiling: 1.75,
      largerModelFloor: 1,
    });
  });

  it('never repeats a credential', () => {
    const secret = 'a secret with spaces';
    try {
      served(['--model', 'b', '--token', secret]);
      expect.unreachable();
    } catch (error) {
      expect(String(error)).toMatch(/--token/);
      expect(String(error)).not.toContain('secret with');
    }
  });

  it('refuses an unknown name from a program', () => {
    expect(() => parseServerOptions({ model: 'b', prot: 1 })).toThrow(/unknown option prot; known are model/);
  });
});
