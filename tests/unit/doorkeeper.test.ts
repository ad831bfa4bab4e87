import { checkTokens, Doorkeeper } from '@tandem/cloud/testing';
import { limits } from '@tandem/shared';
import { describe, expect, it } from 'vitest';

const TOKEN = 'aaaa.bbbb.cccc';
const REQUEST = {
  url: '/v1/sessions/doorkeeper-session-1',
  origin: undefined,
  protocols: `tandem.v1, tandem.token.${Buffer.from(TOKEN).toString('base64url')}`,
};

describe('a doorkeeper', () => {
  it('lets few wait for a look at their token, at all doors together, and the next when one is done', async () => {
    const waiting: ((owner: string | undefined) => void)[] = [];
    const doorkeeper = new Doorkeeper({
      credentials: checkTokens(['plain'], [], true),
      allowedOrigins: [],
      verifyToken: () => new Promise((resolve) => waiting.push(resolve)),
    });
    const upgrade = doorkeeper.decide(REQUEST);
    const others = Array.from({ length: limits.VERIFICATIONS_MAX - 1 }, () => doorkeeper.identify(TOKEN));
    expect(await doorkeeper.decide(REQUEST)).toMatchObject({ kind: 'refuse', status: 503, code: 'SERVER_BUSY' });
    expect(await doorkeeper.identify(TOKEN)).toEqual({ kind: 'busy' });
    // What needs no look is not kept out.
    expect(await doorkeeper.identify('plain')).toMatchObject({ kind: 'known' });
    expect(await doorkeeper.identify('no token of an issuer')).toEqual({ kind: 'stranger' });
    waiting[0]!('token alice');
    expect(await upgrade).toMatchObject({ kind: 'admit', owner: 'token alice' });
    const next = doorkeeper.identify(TOKEN);
    for (const resolve of waiting.slice(1)) resolve(undefined);
    expect(await next).toEqual({ kind: 'stranger' });
    expect(await Promise.all(others)).toEqual(others.map(() => ({ kind: 'stranger' })));
  });
});
