import { type CloudServer, startServer } from '@tandem/cloud';
import type { GenerationResult, SessionEvent, SessionOptions } from '@tandem/edge';
import { GREEDY, NO_DRAFT } from '@tandem/shared';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Story, tell } from '../support/exactness.js';
import {
  type LargerModelBench,
  largerText,
  ownChoices,
  runsOf,
  startLargerModelBench,
} from '../support/larger-model-bench.js';
import { OPENINGS } from '../support/tales.js';

/**
 * Two real servers and a device: where the small model is unsure, the other server's whole model writes. The oracle:
 * every passage is what that model writes when it is asked directly, every other token what the unsplit small model
 * chooses behind the text so far.
 */
describe('larger model', () => {
  let bench: LargerModelBench;
  let server: CloudServer;
  let greedy: GenerationResult;
  let sampled: GenerationResult;
  beforeAll(async () => {
    bench = await startLargerModelBench();
    server = await startServer(bench.options());
    greedy = await told(GREEDY_STORY);
    sampled = await told(SAMPLED_STORY);
  });
  afterAll(async () => {
    await server.close();
    await bench.close();
  });

  const GREEDY_STORY: Story = { opening: OPENINGS[2]!, temperature: 0, seed: 5, maxOutputTokens: 60 };
  const SAMPLED_STORY: Story = { opening: OPENINGS[0]!, temperature: 0.8, seed: 5, maxOutputTokens: 60 };

  const told = (story: Story, options: Partial<SessionOptions> = {}, link?: Parameters<typeof tell>[2]) =>
    tell({ ...bench, server }, story, link, { largerModel: 'allow', ...options });

  const ids = ({ tokens }: GenerationResult) => tokens.map(({ id }) => id);

  /** Passages of this result, each checked against the model that should have written it. */
  async function checkPassages(story: Story, result: GenerationResult): Promise<number> {
    const { tokenizer } = bench.model;
    const context = [...tokenizer.encode(story.opening), ...ids(result)];
    const passages = runsOf(result).filter(({ kind }) => kind === 'larger-model');
    for (const { from, tokens } of passages) {
      const before = tokenizer.decode(context.slice(0, from));
      const text = tokenizer.decode(context.slice(0, from + tokens.length)).slice(before.length);
      const { temperature, seed } = story;
      const written = await largerText(bench, context.slice(0, from), { temperature, seed });
      expect(written.slice(0, text.length)).toBe(text);
    }
    return passages.length;
  }

  it.each([
    ['greedy', GREEDY_STORY, () => greedy],
    ['sampled', SAMPLED_STORY, () => sampled],
  ])('exact with consent, %s: passages are the larger model’s, all else the small one’s', async (_, story, told) => {
    const result = told();
    expect(await checkPassages(story, result)).toBeGreaterThan(0);
    const promptLength = result.usage.inputTokens;
    const context = [...bench.model.tokenizer.encode(story.opening), ...ids(result)];
    const own = await ownChoices(bench, context, story);
    for (const { id, position, origin } of result.tokens) {
      if (origin.kind !== 'larger-model') expect([position, id]).toEqual([position, own[position - 1]]);
      else expect(origin).toEqual({ kind: 'larger-model', model: bench.larger.model });
    }
    const text = bench.model.tokenizer.decode(context);
    expect(result.text).toBe(text.slice(bench.model.tokenizer.decode(context.slice(0, promptLength)).length));
  });

  it('a link that is slow and breaks: the same text, nothing doubled or lost', async () => {
    const downward = (afterFrames: number) => ({ afterFrames, direction: 'down' as const });
    // Behind the word that a passage is coming, behind its first part, and so on.
    const cuts = [[5], [6], [7], [5, 6, 7, 8, 9, 10]].map((frames) => frames.map(downward));
    const stories = await Promise.all(
      cuts.map((some) => told(GREEDY_STORY, {}, { rttMs: 20, jitterMs: 5, cuts: some })),
    );
    for (const broken of stories) {
      expect(ids(broken)).toEqual(ids(greedy));
      expect(broken.tokens.map(({ origin }) => origin.kind === 'larger-model')).toEqual(
        greedy.tokens.map(({ origin }) => origin.kind === 'larger-model'),
      );
    }
  });

  it('the output may be full in mid-passage, and the same session tells it again', async () => {
    const first = greedy.tokens.findIndex(({ origin }) => origin.kind === 'larger-model');
    const session = await bench.model.createSession({ largerModel: 'allow', cloud: { url: server.url } });
    const { opening, ...settings } = GREEDY_STORY;
    const cut = await session.generate(opening, { ...settings, maxOutputTokens: first + 3 });
    expect(ids(cut)).toEqual(ids(greedy).slice(0, first + 3));
    expect(ids(await session.generate(opening, settings))).toEqual(ids(greedy));
    await session.dispose();
  });

  it('an engine judges a row without a draft and goes on', async () => {
    const { oracle, model } = bench;
    const tokens = model.tokenizer.encode(GREEDY_STORY.opening).slice(0, 4);
    const input = { kind: 'tokens' as const, tokens: Int32Array.from(tokens) };
    const session = {
      session: 'no-draft',
      firstStage: 0,
      endStage: oracle.info.stages,
      capacity: 8,
      codec: 'f32' as const,
    };
    const request = {
      session: 'no-draft',
      from: 0,
      input,
      depth: oracle.info.stages,
      want: [1, 2, 3],
      sampling: GREEDY,
    };
    await oracle.open(session);
    const { choices } = await oracle.step({ ...request, drafts: [] });
    const drafts = [NO_DRAFT, choices[1]!.token, NO_DRAFT];
    const again = await oracle.step({ ...request, drafts });
    expect(again).toMatchObject({ mismatch: false, length: 4, choices });
    await oracle.close('no-draft');
  });

  it('a prompt that goes up as token ids tells the same', async () => {
    expect(ids(await told(GREEDY_STORY, { promptAs: 'tokens' }))).toEqual(ids(greedy));
  });

  it('cloud-only with consent tells what exact tells', async () => {
    const cloudOnly = await told(SAMPLED_STORY, { mode: 'cloud-only' });
    expect(ids(cloudOnly)).toEqual(ids(sampled));
    expect(cloudOnly.tokens.filter(({ origin }) => origin.kind === 'larger-model')).not.toEqual([]);
  });

  it('collaborative: device, cloud and larger model in one text, and an event for every passage', async () => {
    const session = await bench.model.createSession({
      mode: 'collaborative',
      largerModel: 'allow',
      cloud: { url: server.url },
    });
    const events: Extract<SessionEvent, { kind: 'larger-model' }>[] = [];
    session.events$.subscribe((event) => {
      if (event.kind === 'larger-model') events.push(event);
    });
    const { opening, ...settings } = GREEDY_STORY;
    const parts: string[] = [];
    const generation = session.generate(opening, settings);
    for await (const { text } of generation) parts.push(text);
    const result = await generation;
    await session.dispose();
    expect(parts.join('')).toBe(result.text);
    expect(await checkPassages(GREEDY_STORY, result)).toBeGreaterThan(0);
    const kinds = result.tokens.map(({ origin }) => origin.kind);
    expect(new Set(kinds)).toEqual(new Set(['exit', 'cloud', 'larger-model']));
    // The last passage may go on behind the end of the output.
    const end = result.usage.totalTokens;
    const written = events.flatMap((event) =>
      event.state === 'wrote' ? Math.min(event.tokens, end - event.position) : [],
    );
    expect(written.reduce((sum, tokens) => sum + tokens, 0)).toBe(
      kinds.filter((kind) => kind === 'larger-model').length,
    );
    expect(events.filter(({ state }) => state === 'asked')).not.toEqual([]);
  });

  it('without consent: the tokens and the bytes of a server that knows no larger model', async () => {
    const options = { draftLength: 0, promptAs: 'rows', largerModel: 'never' } as const;
    const without = await tell(bench, GREEDY_STORY, undefined, options);
    const with_ = await told(GREEDY_STORY, options);
    expect(ids(with_)).toEqual(ids(without));
    expect(with_.tokens.some(({ origin }) => origin.kind === 'larger-model')).toBe(false);
    expect(with_.transfer.bytesUp).toBe(without.transfer.bytesUp);
  });

  it('with consent at a server that knows none: no token ids go up', async () => {
    const options = { draftLength: 0, promptAs: 'rows' } as const;
    const never = await tell(bench, GREEDY_STORY, undefined, options);
    const allowed = await tell(bench, GREEDY_STORY, undefined, { ...options, largerModel: 'allow' });
    expect(ids(allowed)).toEqual(ids(never));
    // One field more in session-open.
    expect(allowed.transfer.bytesUp - never.transfer.bytesUp).toBeLessThan(32);
  });
});
