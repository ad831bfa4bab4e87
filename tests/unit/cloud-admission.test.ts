import { admit, checkTokens } from '@tandem/cloud/testing';
import { describe, expect, it } from 'vitest';

const PATH = '/v1/sessions/abcdefgh-ABCDEFGH_1';
const credential = (token: string) => `tandem.token.${Buffer.from(token).toString('base64url')}`;
const RULES = { credentials: checkTokens(['right', 'other']), allowedOrigins: ['https://app.example'] };

function ask(change: { url?: string; origin?: string; protocols?: string } = {}, rules = RULES) {
  const asked = { url: PATH, origin: undefined, protocols: `tandem.v1, ${credential('right')}`, ...change };
  return admit(asked, rules);
}

describe('admission', () => {
  it('lets in who has address, version and credential', () => {
    expect(ask()).toMatchObject({ kind: 'admit', sessionId: 'abcdefgh-ABCDEFGH_1' });
  });

  it.each([
    ['a wrong credential', { protocols: `tandem.v1, ${credential('wrong')}` }, 401],
    ['an empty credential', { protocols: 'tandem.v1, tandem.token.' }, 401],
    ['no credential', { protocols: 'tandem.v1' }, 401],
    ['a credential that is not base64url', { protocols: 'tandem.v1, tandem.token.%%%' }, 401],
    ['another version', { protocols: `tandem.v2, ${credential('right')}` }, 400],
    ['no subprotocol', { protocols: undefined }, 400],
    ['a credential in the URL', { url: `${PATH}?token=right` }, 400],
    ['another path', { url: '/socket.io/' }, 404],
    ['a session id that is too short', { url: '/v1/sessions/abc' }, 404],
    ['a session id that is too long', { url: `/v1/sessions/${'a'.repeat(65)}` }, 404],
    ['a session id with other characters', { url: '/v1/sessions/abcdefghijklmno%2e' }, 404],
  ])('refuses %s', (_, change, status) => {
    expect(ask(change)).toMatchObject({ kind: 'refuse', status });
  });

  it('names the version that it speaks and repeats no credential', () => {
    const answer = ask({ protocols: `tandem.v2, ${credential('right')}` });
    expect(answer).toMatchObject({ message: expect.stringMatching(/offers tandem\.v2.*speaks tandem\.v1/) });
    expect(JSON.stringify([answer, ask({ url: `${PATH}?token=right` })])).not.toMatch(/right|cmlnaHQ/);
  });

  it.each([
    ['none, as programs do', undefined, true],
    ['one that is listed', 'https://app.example', true],
    ['the loopback', 'http://localhost:5173', true],
    ['the loopback by address', 'http://127.0.0.1', true],
    ['the loopback by IPv6 address', 'http://[::1]:3000', true],
    ['another', 'https://evil.example', false],
    ['another port of a listed one', 'https://app.example:8443', false],
    ['another scheme of a listed one', 'http://app.example', false],
    ['one that starts like the loopback', 'http://localhost.evil.example', false],
    ['one that starts like the loopback address', 'http://127.0.0.1.evil.example', false],
    ['one that ends like a listed one', 'https://notapp.example', false],
    ['null, as sandboxed frames send', 'null', false],
  ])('origin: %s', (_, origin, isAllowed) => {
    expect(ask({ origin: origin as string }).kind).toBe(isAllowed ? 'admit' : 'refuse');
    if (!isAllowed) expect(ask({ origin: origin as string })).toMatchObject({ status: 403 });
  });

  it('allows every origin when told to', () => {
    expect(ask({ origin: 'https://evil.example' }, { ...RULES, allowedOrigins: ['*'] }).kind).toBe('admit');
  });

  it('tells owners apart by credential, and knows only one without', () => {
    const owner = (protocols: string, rules = RULES) => {
      const answer = ask({ protocols }, rules);
      return answer.kind === 'admit' ? answer.owner : undefined;
    };
    const first = owner(`tandem.v1, ${credential('right')}`);
    expect(first).toBeDefined();
    expect(owner(`tandem.v1, ${credential('other')}`)).not.toBe(first);
    expect(first).not.toContain('right');
    const open = { ...RULES, credentials: checkTokens([]) };
    expect(owner('tandem.v1', open)).toBe(owner(`tandem.v1, ${credential('minted')}`, open));
  });
});
