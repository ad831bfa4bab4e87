import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type CloudServer, startServer } from '@tandem/cloud';
import { webSocketConnect } from '@tandem/edge/testing';
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT, UnsecuredJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { askText, upgrade } from '../support/raw-http.js';
import { makeSmallBundle, type SmallBundle } from '../support/small-bundle.js';
import { WireClient } from '../support/wire-client.js';

const KEY = 'a-key-that-is-long-and-random-0123456789';
const PLAIN = 'a-plain-token';

/** Who gets in, decided before the 101: plain tokens, keys by their hash, tokens of an issuer. */
describe('credentials', () => {
  let bundle: SmallBundle;
  let server: CloudServer;
  let issuer: Server;
  let sign: (claims: JWTPayload, change?: { expiresIn?: string; kid?: string }) => Promise<string>;
  let forged: string;
  let symmetric: string;
  let fetches = 0;
  let opened = 0;

  beforeAll(async () => {
    bundle = await makeSmallBundle();
    const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true });
    const jwk = { ...(await exportJWK(publicKey)), kid: 'one', alg: 'ES256', use: 'sig' };
    issuer = createServer((_request, response) => {
      fetches++;
      response.setHeader('Content-Type', 'application/json');
      response.end(JSON.stringify({ keys: [jwk] }));
    });
    issuer.listen(0, '127.0.0.1');
    await once(issuer, 'listening');
    const claims = (payload: JWTPayload) => ({
      sub: 'alice',
      iss: 'https://issuer.example',
      aud: 'tandem',
      ...payload,
    });
    sign = (payload, { expiresIn = '5m', kid = 'one' } = {}) => {
      const token = new SignJWT(claims(payload)).setProtectedHeader({ alg: 'ES256', kid });
      return (expiresIn === 'never' ? token : token.setExpirationTime(expiresIn)).sign(privateKey);
    };
    const other = await generateKeyPair('ES256');
    const header = { alg: 'ES256', kid: 'one' };
    forged = await new SignJWT(claims({})).setProtectedHeader(header).setExpirationTime('5m').sign(other.privateKey);
    const secret = new TextEncoder().encode(JSON.stringify(jwk));
    symmetric = await new SignJWT(claims({}))
      .setProtectedHeader({ alg: 'HS256', kid: 'one' })
      .setExpirationTime('5m')
      .sign(secret);
    server = await startServer({
      model: bundle.directory,
      port: 0,
      threads: 1,
      logLevel: 'silent',
      token: [PLAIN],
      key: [`acme:${createHash('sha256').update(KEY).digest('hex')}`],
      jwksUrl: `http://127.0.0.1:${(issuer.address() as AddressInfo).port}/keys`,
      jwtIssuer: 'https://issuer.example',
      jwtAudience: 'tandem',
      allowOrigin: ['https://app.example'],
      completions: true,
    });
  });

  afterAll(async () => {
    await server?.close();
    issuer?.close();
    await bundle?.remove();
  });

  const newId = () => `credential-session-${++opened}`;

  async function status(token: string | undefined, origin?: string): Promise<number> {
    const credential = token === undefined ? '' : `, tandem.token.${Buffer.from(token).toString('base64url')}`;
    const headers = { 'Sec-WebSocket-Protocol': `tandem.v1${credential}`, ...(origin ? { Origin: origin } : {}) };
    const answer = await upgrade(server.port, `/v1/sessions/${newId()}`, headers);
    if (!('socket' in answer)) return answer.status;
    answer.socket.destroy();
    return 101;
  }

  it('lets in a plain token, a key by its hash, and a token of the issuer; keys are fetched once', async () => {
    const tokens = [PLAIN, KEY, await sign({}), await sign({ sub: 'bob' }), await sign({ tenant: 'acme' })];
    for (const token of tokens) expect(await status(token)).toBe(101);
    expect(fetches).toBe(1);
  });

  it('the same at /v1/completions, as bearer token', async () => {
    const models = async (token: string) =>
      (await askText(server.port, '/v1/models', { headers: { Authorization: `Bearer ${token}` } })).status;
    const expired = await sign({}, { expiresIn: '-1m' });
    for (const token of [PLAIN, KEY, await sign({}), await sign({ tenant: 'acme' })])
      expect(await models(token)).toBe(200);
    for (const token of ['wrong', forged, symmetric, expired]) expect(await models(token)).toBe(401);
  });

  it('refuses everything else', async () => {
    const unsigned = new UnsecuredJWT({ sub: 'alice', iss: 'https://issuer.example', aud: 'tandem' });
    const [head, body] = (await sign({ sub: 'alice' })).split('.');
    const [, , signature] = (await sign({ sub: 'bob' })).split('.');
    const refused: Record<string, string | undefined> = {
      nothing: undefined,
      'an empty one': '',
      'another token': 'wrong',
      "the key's hash": createHash('sha256').update(KEY).digest('hex'),
      'an expired one': await sign({}, { expiresIn: '-1m' }),
      'one that never expires': await sign({}, { expiresIn: 'never' }),
      'another issuer': await sign({ iss: 'https://other.example' }),
      'another audience': await sign({ aud: 'other' }),
      'one without a tenant': await sign({ sub: '' }),
      'an unknown key id': await sign({}, { kid: 'two' }),
      'another signature': `${head}.${body}.${signature}`,
      "another issuer's key": forged,
      'a symmetric signature with the public key': symmetric,
      'no signature': unsigned.setExpirationTime('5m').encode(),
      'no JSON': 'aaaa.bbbb.cccc',
    };
    for (const [name, token] of Object.entries(refused)) expect([name, await status(token)]).toEqual([name, 401]);
    // An unknown key id may fetch the keys again; a hundred of them may not fetch them a hundred times.
    const before = fetches;
    for (let i = 0; i < 20; i++) await status(await sign({}, { kid: `kid-${i}` }));
    expect(fetches - before).toBeLessThanOrEqual(1);
  });

  it('asks for both: an origin that is allowed and a credential that is good', async () => {
    const origins: [string | undefined, boolean][] = [
      [undefined, true],
      ['https://app.example', true],
      ['http://localhost:3000', true],
      ['null', false],
      ['https://sub.app.example', false],
      ['https://app.example.evil.example', false],
      ['http://app.example', false],
      ['https://app.example:8443', false],
      ['https://xn--pp-bja.example', false],
    ];
    const credentials: [string | undefined, boolean][] = [
      [PLAIN, true],
      [KEY, true],
      [await sign({}), true],
      ['wrong', false],
      [undefined, false],
      [forged, false],
    ];
    for (const [origin, isAllowed] of origins) {
      for (const [token, isGood] of credentials) {
        const expected = !isAllowed ? 403 : isGood ? 101 : 401;
        expect([origin, await status(token, origin)]).toEqual([origin, expected]);
      }
    }
  });

  it('gives a session back to its tenant, with whatever key, and to nobody else', async () => {
    const sessionId = newId();
    const { model, format, contextLength } = bundle.engine.info;
    const open = async (token: string) => {
      const client = await new WireClient(webSocketConnect({ url: server.url, sessionId, token })).opened();
      const declared = { model, format, context: 'rows', codec: 'f32', capacity: contextLength, epoch: 0 } as const;
      client.send('session-open', declared);
      return client;
    };
    const mine = await open(await sign({ sub: 'alice' }));
    await mine.take('session-opened');
    const theirs = await open(await sign({ sub: 'bob' }));
    expect(await theirs.take('error')).toMatchObject({ code: 'UNAUTHORIZED' });
    const again = await open(await sign({ sub: 'alice' }, { expiresIn: '7m' }));
    await again.take('session-opened');
    again.transport.close();
  });
});
