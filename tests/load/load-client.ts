import { webSocketConnect } from '@tandem/edge/testing';
import type { Messages } from '@tandem/shared';
import type { SmallBundle } from '../support/small-bundle.js';
import { WireClient } from '../support/wire-client.js';

export const GREEDY = { temperature: 0, topK: 0, topP: 1, minP: 0, seed: 0 };

export interface LoadStory {
  tokens: readonly number[];
  rows: Uint8Array;
  /** What the whole model chooses behind the last of them. */
  choice: number;
}

/** So many tokens of the small model, the same for every client. */
export async function makeStory(bundle: SmallBundle, length: number): Promise<LoadStory> {
  const { vocabularySize } = bundle.engine.info;
  const tokens = Array.from({ length }, (_, index) => (index * 7 + 3) % vocabularySize);
  return { tokens, rows: await bundle.rows(tokens), choice: (await bundle.choice(tokens, GREEDY)).token };
}

/** A connection with an open session. @throws Error with the code of a refusal */
export async function openSession(
  url: string,
  sessionId: string,
  bundle: SmallBundle,
  declared: Partial<Messages['session-open']> = {},
): Promise<{ client: WireClient; opened: Messages['session-opened'] }> {
  const client = new WireClient(webSocketConnect({ url, sessionId, token: undefined }));
  await client.opened();
  const { model, format } = bundle.engine.info;
  client.send('session-open', { model, format, context: 'rows', codec: 'f32', capacity: 64, epoch: 0, ...declared });
  const answer = await client.takeAny('session-opened', 'error');
  if (answer.kind === 'error') throw new Error(answer.control.code);
  return { client, opened: answer.control as Messages['session-opened'] };
}

/** Sends all rows from `from` on, wants a verdict on the last, and checks it. */
export async function askLast(client: WireClient, story: LoadStory, epoch: number, from = 0): Promise<void> {
  const count = story.tokens.length - from;
  const bytesPerRow = story.rows.length / story.tokens.length;
  const control = { epoch, from, count, want: [story.tokens.length - 1], drafts: [], sampling: GREEDY };
  client.send('context-forward', control, story.rows.subarray(from * bytesPerRow));
  const answer = await client.takeAny('verdict', 'context-rewind', 'error');
  if (answer.kind === 'context-rewind') return askLast(client, story, epoch + 1, answer.control.length);
  if (answer.kind !== 'verdict') throw new Error(JSON.stringify(answer.control));
  const [token] = answer.control.tokens;
  if (token !== story.choice) throw new Error(`the verdict is ${token}, the whole model says ${story.choice}`);
}

/** Runs `work` for 0 to `count` - 1, so many at a time. */
export async function inParallel(count: number, width: number, work: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: Math.min(width, count) }, lane));
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
