import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const EXAMPLE = fileURLToPath(new URL('../../examples/scale-out/dist/main.js', import.meta.url));
const hasHaproxy = spawnSync('haproxy', ['-v']).error === undefined;

interface Outcome {
  stories: number;
  mismatches: number;
  blows: { what: string; resentRows: number; sessions: number[] }[];
}

/** Three real servers behind a real HAProxy; the example compares every story with that of one process. */
describe.skipIf(!hasHaproxy)(
  hasHaproxy ? 'scale-out' : 'scale-out (skipped: no haproxy here; apt-get install haproxy)',
  () => {
    const run = (...flags: string[]): Outcome => {
      const { status, stdout, stderr } = spawnSync(process.execPath, [EXAMPLE, '--json', ...flags], {
        encoding: 'utf8',
        timeout: 180_000,
      });
      expect(stderr).toBe('');
      expect(status).toBe(0);
      return JSON.parse(stdout) as Outcome;
    };

    it('links cut, a server killed, a server drained: every text unchanged, every session where its path says', () => {
      const hashed = run('--devices', '9', '--rounds', '1');
      expect(hashed.mismatches).toBe(0);
      expect(hashed.stories).toBeGreaterThanOrEqual(9 * 5);
      const [cut, kill, drain] = hashed.blows;
      for (const { sessions } of hashed.blows) expect(sessions.reduce((sum, count) => sum + count, 0)).toBe(9);
      // A killed server's sessions go elsewhere, and with them their rows; a cut leaves them where they were.
      expect(kill!.sessions[0]).toBe(0);
      expect(drain!.sessions[1]).toBe(0);
      expect(kill!.resentRows).toBeGreaterThan(cut!.resentRows);
    });
  },
);
