import { webSocketConnect } from '@tandem/edge/testing';
import { LoadClient } from './load-client.js';
import type { Recording } from './recording.js';

/** What a cell of the table is made of. */
export interface LoadFigures {
  tokens: number;
  /** From a forward that was handed to the socket to its answer. */
  answerMs: number[];
  /** Of these, as the server says: waiting, and in the engine. */
  queueMs: number[];
  engineMs: number[];
  /** Time that the engine was busy for them; less than the sum where several shared a run. */
  busyMs: number;
  refused: number;
}

export interface LoadOptions {
  url: string;
  sessions: number;
  recordings: readonly Recording[];
  /** Of a reader, for each token that it gets. */
  thinkMsPerToken: number;
  /** Over which readers arrive. What happens in it is not counted: many prompts at once are no steady state. */
  rampMs: number;
  durationMs: number;
}

/** So many sessions at a time, each telling one story after the other at the pace of a reader. */
export async function runLoad(options: LoadOptions): Promise<LoadFigures> {
  const figures: LoadFigures = { tokens: 0, answerMs: [], queueMs: [], engineMs: [], busyMs: 0, refused: 0 };
  const countFromMs = performance.now() + options.rampMs;
  const window = { countFromMs, endMs: countFromMs + options.durationMs };
  await Promise.all(
    Array.from({ length: options.sessions }, async (_, index) => {
      // Spread, so that they do not march in step.
      await sleep((index / options.sessions) * options.rampMs);
      for (let story = 0; performance.now() < window.endMs; story++) {
        const recording = options.recordings[(index + story) % options.recordings.length]!;
        await replay(recording, `bench-${index}-${story}-0123456789`, options, window, figures);
      }
    }),
  );
  return figures;
}

async function replay(
  recording: Recording,
  sessionId: string,
  { url, thinkMsPerToken }: LoadOptions,
  { countFromMs, endMs }: { countFromMs: number; endMs: number },
  figures: LoadFigures,
): Promise<void> {
  const client = new LoadClient(webSocketConnect({ url, sessionId, token: undefined }));
  try {
    await client.ask('session-open', recording.open);
    for (const { control, payload } of recording.forwards) {
      if (performance.now() >= endMs) break;
      const startedMs = performance.now();
      const answer = await client.ask('context-forward', control, payload);
      if (answer.kind !== 'verdict') continue;
      const { tokens, queueMs, engineMs } = answer.control;
      const answerMs = performance.now() - startedMs;
      await sleep(tokens.length * thinkMsPerToken);
      if (startedMs < countFromMs) continue;
      figures.tokens += tokens.length;
      figures.answerMs.push(answerMs);
      figures.queueMs.push(queueMs);
      figures.engineMs.push(engineMs);
      // This server runs one session a step.
      figures.busyMs += engineMs;
    }
  } catch {
    figures.refused++;
    await sleep(100);
  } finally {
    client.close();
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
