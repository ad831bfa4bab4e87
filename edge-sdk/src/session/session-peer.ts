import { type Connect, type RowCodecName, TandemError } from '@tandem/shared';
import { webSocketConnect } from '#platform';
import { CloudPeer, type CloudPeerOptions } from '../link/cloud-peer.js';
import { addressSchema, type ParsedSessionOptions } from '../options.js';
import type { SessionParts } from './session-parts.js';

/** What the peer works on, and whom it tells. */
type PeerWork = Pick<CloudPeerOptions, 'ledger' | 'events' | 'judged' | 'mayBeTokens'> & {
  codec: RowCodecName;
  capacity: number;
};

/** The cloud's side of a session: what it declares itself to be, and how it is dialled. */
export function createPeer(parts: SessionParts, options: ParsedSessionOptions, work: PeerWork): CloudPeer {
  const { mode, cloud, largerModel, likelyToReturn } = options;
  const { manifest, engine, sessionId, clock, random, prefix } = parts;
  const { codec, capacity, ...rest } = work;
  if (!cloud) throw new TandemError('INVALID_OPTION', `createSession: mode ${mode} needs cloud: { url }`);
  return new CloudPeer({
    ...rest,
    declaration: {
      model: manifest.fingerprint,
      format: engine.info.format,
      context: mode === 'cloud-only' ? 'tokens' : 'rows',
      codec,
      capacity,
      ledger: Math.floor(random.next() * 2 ** 32),
      ...(prefix && prefix.hashes.length > 0 ? { prefix: [...prefix.hashes] } : {}),
      ...(likelyToReturn ? { returns: true } : {}),
      ...(largerModel === 'allow' ? { largerModel } : {}),
    },
    prefix,
    connect: dialler(cloud, sessionId),
    unavailableAfterMs: cloud.unavailableAfterMs,
    clock,
    random,
  });
}

/**
 * Each attempt asks for its own address and credential, but whatever the app put in between sees one link that goes up and
 * down.
 */
function dialler(cloud: NonNullable<ParsedSessionOptions['cloud']>, sessionId: string): () => Promise<Connect> {
  let url = '';
  let token: string | undefined;
  const direct: Connect = (handlers) => webSocketConnect({ url, sessionId, token })(handlers);
  const connect = cloud.wrapTransport?.(direct) ?? direct;
  return async () => {
    url = typeof cloud.url === 'function' ? await askAddress(cloud.url) : cloud.url;
    token = typeof cloud.token === 'function' ? await cloud.token() : cloud.token;
    return connect;
  };
}

async function askAddress(ask: () => string | Promise<string>): Promise<string> {
  const failed = (what: string, cause?: unknown) =>
    new TandemError('INVALID_OPTION', `cloud.url ${what}; it must return a ws:// or wss:// address`, { cause });
  const answer = await Promise.resolve()
    .then(ask)
    .catch((cause: unknown) => {
      throw failed('threw', cause);
    });
  const parsed = addressSchema.safeParse(answer);
  if (!parsed.success) throw failed(`returned ${JSON.stringify(answer)}`);
  return parsed.data;
}
