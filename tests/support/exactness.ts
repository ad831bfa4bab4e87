import { type CloudServer, startServer } from '@tandem/cloud';
import { EdgeModel, type GenerationResult, type SessionOptions } from '@tandem/edge';
import { type LinkProfile, simulateLink } from '@tandem/netsim';
import { type ChainEngine, type Connect, type Format, generateUnsplit, type RowCodecName } from '@tandem/shared';
import { loadChainEngine } from '@tandem/shared/node';
import { talesBundle } from './tales.js';

/** A device, a server and the oracle, all on the embedded model in one format. */
export interface Bench {
  bundle: string;
  model: EdgeModel;
  server: CloudServer;
  /** The whole chain in this process. */
  oracle: ChainEngine;
  close(): Promise<void>;
}

export async function startBench(format: Format): Promise<Bench> {
  const bundle = await talesBundle();
  const server = await startServer({ model: bundle, port: 0, format, logLevel: 'silent', threads: 1 });
  const model = await EdgeModel.load(bundle, { format, threads: 1 });
  const oracle = await loadChainEngine({ directory: bundle, format, threads: 1, preload: 'all' });
  const close = async () => {
    await model.dispose();
    await server.close();
    await oracle.dispose();
  };
  return { bundle, model, server, oracle, close };
}

export interface Story {
  opening: string;
  temperature: number;
  seed: number;
  maxOutputTokens: number;
}

/** One story in a session of its own. `profile`: the link it is told over; none is the loopback as it is. */
export async function tell(
  bench: Bench,
  { opening, ...story }: Story,
  profile?: LinkProfile,
  options: Partial<SessionOptions> = {},
): Promise<GenerationResult> {
  const wrapTransport = (connect: Connect) =>
    profile ? simulateLink(connect, profile, { seed: story.seed }).connect : connect;
  const session = await bench.model.createSession({
    mode: 'exact',
    onCloudUnavailable: 'wait',
    cloud: { url: bench.server.url, wrapTransport },
    ...options,
  });
  try {
    return await session.generate(opening, story);
  } finally {
    await session.dispose();
  }
}

/** Token ids of the same story, told by the whole chain in one process. */
export function tellUnsplit(bench: Bench, story: Story, codec: RowCodecName = 'f16'): Promise<number[]> {
  return generateUnsplit(bench.oracle, {
    prompt: bench.model.tokenizer.encode(story.opening),
    maxOutputTokens: story.maxOutputTokens,
    sampling: { temperature: story.temperature, topK: 0, topP: 1, minP: 0, seed: story.seed },
    codec,
    eosTokenIds: bench.model.manifest.eosTokenIds,
    session: `${story.opening} ${story.seed}`,
  });
}
