import { startServer } from '@tandem/cloud';
import { type Generation, isTandemError, maxProbability, type Session, type SessionEvent } from '@tandem/edge';
import { filter, firstValueFrom } from 'rxjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Bench, startBench, tell, tellUnsplit } from '../support/exactness.js';
import { OPENINGS } from '../support/tales.js';

/** The session as an app meets it, on the real model and a real server. */
describe('session', () => {
  let bench: Bench;
  beforeAll(async () => {
    bench = await startBench('q8');
  });
  afterAll(() => bench.close());
  const opening = OPENINGS[7]!;
  const story = { opening, temperature: 0.8, seed: 3, maxOutputTokens: 40 };

  it('parts, result and events tell the same story', async () => {
    const session = await bench.model.createSession({ cloud: { url: bench.server.url } });
    const events: SessionEvent[] = [];
    session.events$.subscribe((event) => events.push(event));
    const generation = session.generate(opening, { temperature: 0.8, seed: 3, maxOutputTokens: 40 });
    let text = '';
    const ids: number[] = [];
    for await (const part of generation) {
      text += part.text;
      ids.push(...part.tokens.map(({ id }) => id));
    }
    const result = await generation;
    expect(result.text).toBe(text);
    expect(result.tokens.map(({ id }) => id)).toEqual(ids);
    expect(result.usage.outputTokens).toBe(ids.length);
    expect(result.usage.totalTokens).toBe(result.usage.inputTokens + ids.length);
    const settled = events.filter((event) => event.kind === 'settled');
    expect(settled.map(({ token }) => token)).toEqual(ids);
    expect(settled.map(({ position }) => position)).toEqual(result.tokens.map(({ position }) => position));
    const forwards = events.filter((event) => event.kind === 'forward');
    expect(result.transfer.forwards).toBe(forwards.length);
    expect(result.transfer.bytesUp).toBeGreaterThan(forwards.reduce((sum, { bytes }) => sum + bytes, 0));
    expect(result.timings.deviceMs).toBeGreaterThan(0);
    expect(result.timings.cloudMs).toBeGreaterThan(0);
    await session.dispose();
  });

  it('provisional text runs ahead of the settled text, and no settled word is ever revised', async () => {
    const session = await bench.model.createSession({ cloud: { url: bench.server.url } });
    const generation = session.generate(opening, {
      temperature: 0.8,
      seed: 3,
      maxOutputTokens: 40,
      emit: 'provisional',
    });
    let settled = '';
    let longestAhead = 0;
    let revisions = 0;
    let shown = '';
    for await (const { text, provisional } of generation) {
      settled += text;
      const next = settled + provisional;
      if (!next.startsWith(shown)) revisions++;
      shown = next;
      longestAhead = Math.max(longestAhead, provisional.length);
    }
    const plain = await tell(bench, story);
    expect(settled).toBe(plain.text);
    expect(shown).toBe(plain.text);
    expect(longestAhead).toBeGreaterThan(10);
    expect(revisions, 'some draft was wrong').toBeGreaterThan(0);
    await session.dispose();
  });

  it('exact mode settles several tokens per round trip', async () => {
    const { tokens, transfer } = await tell(bench, { ...story, temperature: 0 }, { rttMs: 60 }, { cloudPrice: 20 });
    expect(transfer.roundTrips).toBeLessThan(tokens.length / 2);
    expect(tokens.some(({ origin }) => origin.kind === 'exit' && origin.verified)).toBe(true);
  });

  it('a stop sequence ends the text before it, however the tokens cut it', async () => {
    const whole = await tell(bench, story);
    const stop = whole.text.slice(31, 37);
    const stopped = await tell(bench, { ...story, stopSequences: [stop] } as typeof story);
    expect(stopped.text).toBe(whole.text.slice(0, whole.text.indexOf(stop)));
    expect(stopped.finishReason).toBe('stop');
  });

  it('leaving the loop aborts, and the session tells the next story as if nothing had been', async () => {
    const session = await bench.model.createSession({ cloud: { url: bench.server.url } });
    const broken: Generation = session.generate(opening, { maxOutputTokens: 300 });
    let parts = 0;
    for await (const _part of broken) if (++parts === 5) break;
    await expect(broken).rejects.toMatchObject({ code: 'ABORTED' });
    const { tokens } = await session.generate(opening, { temperature: 0.8, seed: 3, maxOutputTokens: 40 });
    expect(tokens.map(({ id }) => id)).toEqual(await tellUnsplit(bench, story));
    await session.dispose();
  });

  it('a signal aborts at any time and the text so far is in the error', async () => {
    const session = await bench.model.createSession({ cloud: { url: bench.server.url } });
    const stop = new AbortController();
    const generation = session.generate(opening, { maxOutputTokens: 300, signal: stop.signal });
    let told = '';
    const error = await (async () => {
      for await (const part of generation) {
        told += part.text;
        if (told.length > 30) stop.abort();
      }
    })().catch((cause) => cause);
    expect(isTandemError(error) && error.code).toBe('ABORTED');
    expect(error.details.text.startsWith(told)).toBe(true);
    await session.dispose();
  });

  it('collaborative with a threshold that no exit reaches equals the unsplit run', async () => {
    const never = { name: 'never', isConfident: () => false };
    const split = await tell(bench, story, undefined, { mode: 'collaborative', policy: never });
    expect(split.tokens.map(({ id }) => id)).toEqual(await tellUnsplit(bench, story));
  });

  it('collaborative with a threshold of 0 settles everything at the first exit and sends no row', async () => {
    const split = await tell(bench, story, undefined, { mode: 'collaborative', threshold: 0 });
    expect(split.tokens.every(({ origin }) => origin.kind === 'exit' && origin.stage === 1)).toBe(true);
    expect(split.transfer.forwards).toBe(0);
  });

  it('collaborative with drafts past unsure tokens settles what stop-and-wait settles', async () => {
    const options = { mode: 'collaborative', policy: maxProbability([0.9, 0.6]) } as const;
    const patient = await tell(bench, story, undefined, { ...options, draftLength: 0 });
    const eager = await tell(bench, story, undefined, { ...options, draftLength: 4 });
    expect(eager.text).toBe(patient.text);
    expect(patient.tokens.some(({ origin }) => origin.kind !== 'exit' || origin.verified)).toBe(true);
    expect(patient.tokens.some(({ origin }) => origin.kind === 'exit' && !origin.verified)).toBe(true);
    expect(eager.transfer.roundTrips).toBeLessThanOrEqual(patient.transfer.roundTrips);
  });

  it('the engine process is killed in mid-story: it comes back, and the text is unchanged', async () => {
    const unsplit = await tellUnsplit(bench, { ...story, maxOutputTokens: 120 });
    for (const mode of ['exact', 'cloud-only'] as const) {
      const session = await bench.model.createSession({
        mode,
        cloud: { url: bench.server.url },
        onCloudUnavailable: 'wait',
      });
      const generation = session.generate(opening, { temperature: 0.8, seed: 3, maxOutputTokens: 120 });
      const killed = new Set<number>();
      let settled = 0;
      for await (const { tokens } of generation) {
        settled += tokens.length;
        const pid = bench.server.engineProcessIds[0];
        if (settled > 20 * (killed.size + 1) && killed.size < 2 && pid !== undefined && !killed.has(pid)) {
          process.kill(pid, 'SIGKILL');
          killed.add(pid);
        }
      }
      const { tokens } = await generation;
      expect(killed.size, 'the engine was killed twice').toBe(2);
      expect(tokens.map(({ id }) => id)).toEqual(unsplit);
      await session.dispose();
    }
  });

  it('a server that goes and comes back: the story goes on alone, then with it, and what was told stays', async () => {
    const options = { model: bench.bundle, format: 'q8', logLevel: 'silent' } as const;
    const first = await startServer({ ...options, port: 0 });
    const session = await bench.model.createSession({ cloud: { url: first.url, unavailableAfterMs: 200 } });
    const rules = { temperature: 0.8, seed: 3, maxOutputTokens: 60 };
    const together = await session.generate(opening, rules);
    expect(together.tokens.map(({ id }) => id)).toEqual(await tellUnsplit(bench, { ...story, maxOutputTokens: 60 }));

    await first.close();
    const alone = await session.generate(opening + together.text, rules);
    expect(alone.tokens.every(({ origin }) => origin.kind === 'exit' && origin.degraded)).toBe(true);

    const second = await startServer({ ...options, port: Number(new URL(first.url).port) });
    await connectionOpens(session);
    const longer = opening + together.text + alone.text;
    const again = await session.generate(longer, rules);
    expect(again.tokens.map(({ id }) => id)).toEqual(
      await tellUnsplit(bench, { ...story, opening: longer, maxOutputTokens: 60 }),
    );
    await session.dispose();
    await second.close();
  });
});

/** Resolves once the session's connection is open. */
function connectionOpens(session: Session): Promise<void> {
  if (session.connection === 'open') return Promise.resolve();
  const opened = session.events$.pipe(filter((event) => event.kind === 'connection' && event.state === 'open'));
  return firstValueFrom(opened).then(() => {});
}
