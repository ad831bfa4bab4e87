import { type CloudServer, type ServerOptions, startServer } from '@tandem/cloud';
import type { GeneratedToken, GenerationResult } from '@tandem/edge';
import { complete } from './completion-client.js';
import { type Bench, startBench } from './exactness.js';

/** The bench of the exactness tests, and a second server whose whole model is the larger one: the same in f32. */
export interface LargerModelBench extends Bench {
  larger: CloudServer;
  /** What a server needs to know of the larger one, if it is at `port`. */
  options(port?: number): ServerOptions;
}

/** Low enough that the embedded model, with a rolling entropy around 1.5 to 2, hands over and takes back in most stories. */
const POLICY = { largerModelCeiling: 1.6, largerModelFloor: 1.4, largerModelTokens: 24 } as const;
/** So low that any model is unsure at once, and again as soon as it may be. */
export const ALWAYS_UNSURE = { largerModelCeiling: 0.2, largerModelFloor: 0.1 } as const;

export async function startLargerModelBench(): Promise<LargerModelBench> {
  const bench = await startBench('q8');
  const common = { model: bench.bundle, port: 0, threads: 1, logLevel: 'silent' } as const;
  const larger = await startServer({ ...common, format: 'f32', completions: true });
  const options = (port = larger.port): ServerOptions => {
    const largerModelUrl = `http://127.0.0.1:${port}/v1`;
    return { ...common, format: 'q8', ...POLICY, largerModelUrl, largerModelName: larger.model };
  };
  const close = async () => {
    await bench.close();
    await larger.close();
  };
  return { ...bench, larger, options, close };
}

export interface Run {
  kind: GeneratedToken['origin']['kind'];
  from: number;
  tokens: number[];
}

/** Neighbouring tokens of one kind of origin. */
export function runsOf({ tokens }: GenerationResult): Run[] {
  const runs: Run[] = [];
  for (const { id, position, origin } of tokens) {
    const last = runs.at(-1);
    if (last?.kind === origin.kind) last.tokens.push(id);
    else runs.push({ kind: origin.kind, from: position, tokens: [id] });
  }
  return runs;
}

/** What the larger model itself writes behind these tokens, asked over HTTP. */
export async function largerText(
  { larger, model }: LargerModelBench,
  context: readonly number[],
  sampling: { temperature: number; seed: number },
): Promise<string> {
  const prompt = model.tokenizer.decode(context);
  const asked = { model: larger.model, prompt, max_tokens: POLICY.largerModelTokens, ...sampling };
  const { body } = await complete(larger.port, asked);
  return body.choices[0]!.text;
}

/** What the whole small model chooses behind each of these tokens. */
export async function ownChoices(
  { oracle }: Bench,
  tokens: readonly number[],
  sampling: { temperature: number; seed: number },
) {
  const session = 'own-choices';
  const { stages } = oracle.info;
  await oracle.open({ session, firstStage: 0, endStage: stages, capacity: tokens.length, codec: 'f16' });
  const { choices } = await oracle.step({
    session,
    from: 0,
    input: { kind: 'tokens', tokens: Int32Array.from(tokens) },
    depth: stages,
    want: tokens.map((_, row) => row),
    drafts: [],
    sampling: { topK: 0, topP: 1, minP: 0, ...sampling },
  });
  await oracle.close(session);
  return choices.map(({ token }) => token);
}
