import { limits } from '@tandem/shared';
import { describe, expect, test } from 'vitest';
import { createLinkBench, startLinkBench } from '../support/link-bench.js';
import { settle } from '../support/manual-clock.js';

describe('a link whose network is back', () => {
  test('does not wait for its next attempt, and its delays begin anew', async () => {
    const { clock, link, server } = startLinkBench({});
    await settle();
    for (let attempt = 0; attempt < limits.RECONNECT_ATTEMPTS_MAX; attempt++) {
      server.last.lose();
      await clock.advance(limits.RECONNECT_DELAY_MS_MAX);
    }
    server.last.lose();
    const connections = server.connections.length;
    link.renew('lost');
    await settle();
    expect([server.connections.length, link.state]).toEqual([connections + 1, 'unavailable']);
    server.last.lose();
    await clock.advance(limits.RECONNECT_DELAY_MS_MIN);
    expect(server.connections).toHaveLength(connections + 2);
    server.last.accept();
    expect(link.state).toBe('open');
    expect(clock.pending).toBe(0);
  });

  test.each([
    ['lost', 1],
    ['any', 2],
  ] as const)('leaves an open connection alone, unless the app says that it may be dead: %s', async (which, count) => {
    const { clock, link, server } = startLinkBench({});
    await settle();
    const first = server.last;
    first.accept();
    link.renew(which);
    await settle();
    expect([server.connections.length, first.isClosed]).toEqual([count, count === 2]);
    server.last.accept();
    expect(link.state).toBe('open');
    expect(clock.pending).toBe(0);
  });

  test.each(['idle', 'failed', 'closed'] as const)('stays %s', async (state) => {
    const { clock, link, server } = createLinkBench();
    if (state === 'failed') {
      link.start();
      await settle();
      server.last.handlers.opened();
      server.last.reply('error', { code: 'UNAUTHORIZED', message: 'who?' });
    }
    if (state === 'closed') link.close();
    const connections = server.connections.length;
    link.renew('any');
    await settle();
    expect([link.state, server.connections.length, clock.pending]).toEqual([state, connections, 0]);
  });
});
