import { EdgeModel, type GenerateOptions, rollingEntropy, type SessionOptions, type TextPart } from '@tandem/edge';

/**
 * A process that tells stories for tests/integration/saved-session.test.ts: tells one up to some token, saves it and goes on
 * with nothing; or restores what another process has saved.
 */
export type StoryJob =
  | { kind: 'load'; bundle: string }
  | {
      kind: 'tell';
      opening: string;
      options: SessionOptions;
      rules: GenerateOptions;
      saveAt: number;
      /** Functions do not cross between processes. */
      rollingEntropy?: number;
    }
  | { kind: 'restore'; bytes: Uint8Array; url: string | undefined; rollingEntropy?: number };

export interface StoryReport {
  /** After `tell`: the session as it was when `saveAt` tokens had come out. */
  bytes?: Uint8Array;
  /** Of the whole generation, told before the restore or after. */
  tokens?: number[];
  text?: string;
  /** What was put together from the parts. */
  shown?: string;
  /** Tokens of the first part. */
  first?: number;
  error?: string;
}

let model: EdgeModel;

process.on('message', async (job: StoryJob) => {
  try {
    process.send!(await work(job));
  } catch (error) {
    process.send!({ error: String(error) } satisfies StoryReport);
  }
});

async function work(job: StoryJob): Promise<StoryReport> {
  switch (job.kind) {
    case 'load':
      model = await EdgeModel.load(job.bundle, { format: 'q8', threads: 1 });
      return {};
    case 'tell':
      return await tellAndSave(job);
    case 'restore':
      return await restore(job);
  }
}

async function tellAndSave(job: StoryJob & { kind: 'tell' }): Promise<StoryReport> {
  const session = await model.createSession({ ...job.options, ...policyOf(job.rollingEntropy) });
  let told = 0;
  for await (const { tokens } of session.generate(job.opening, job.rules)) {
    told += tokens.length;
    if (told < job.saveAt) continue;
    const bytes = await session.save();
    await session.dispose();
    return { bytes };
  }
  throw new Error(`the story ended after ${told} tokens`);
}

async function restore(job: StoryJob & { kind: 'restore' }): Promise<StoryReport> {
  const cloud = job.url === undefined ? {} : { cloud: { url: job.url, unavailableAfterMs: 100 } };
  const session = await model.restoreSession(job.bytes, { ...cloud, ...policyOf(job.rollingEntropy) });
  const generation = session.continue();
  const parts: TextPart[] = [];
  for await (const part of generation) parts.push(part);
  const { tokens, text } = await generation;
  await session.dispose();
  return {
    tokens: tokens.map(({ id }) => id),
    text,
    shown: parts.map((part) => part.text).join(''),
    first: parts[0]?.tokens.length ?? 0,
  };
}

function policyOf(limit: number | undefined) {
  return limit === undefined ? {} : { policy: rollingEntropy(limit, 32) };
}
