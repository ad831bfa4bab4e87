import { readFileSync } from 'node:fs';
import { EdgeModel, type TextPart } from '@tandem/edge';
import { createFakeCloud, expectNoTokenLost, expectSameText, playScript, presets, simulateLink } from '@tandem/netsim';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { talesBundle } from '../support/tales.js';

/** The examples of tests/netsim/README.md, as they stand there between the lines with `example`. */
let model: EdgeModel;
beforeAll(async () => {
  model = await EdgeModel.load(await talesBundle(), { threads: 1 });
});
afterAll(() => model.dispose());

// example: fake cloud
test('my app works without a server and without a model on it', async () => {
  const cloud = createFakeCloud();
  const session = await model.createSession({ cloud: { url: 'ws://fake', wrapTransport: () => cloud.connect } });
  const { text, finishReason } = await session.generate('Once upon a time', { maxOutputTokens: 8 });
  expect([text.length > 0, finishReason]).toEqual([true, 'length']);
  await session.dispose();
});
// end

// example: bad link
test('my app shows the same text on a bad link', async () => {
  const tell = async (profile: Parameters<typeof simulateLink>[1]) => {
    const cloud = createFakeCloud();
    const wrapTransport = () => simulateLink(cloud.connect, profile, { seed: 7 }).connect;
    const session = await model.createSession({ threshold: 0.8, cloud: { url: 'ws://fake', wrapTransport } });
    const generation = session.generate('Once upon a time', { maxOutputTokens: 24 });
    const parts: TextPart[] = [];
    for await (const part of generation) parts.push(part);
    expectNoTokenLost(parts, await generation);
    await session.dispose();
    return parts.map(({ text }) => text).join('');
  };
  const cuts = [3, 6, 9].map((afterFrames) => ({ afterFrames, direction: 'down' as const }));
  expectSameText(await tell({ ...presets.wifi, cuts }), await tell({}));
});
// end

// example: script
test('my app gets through a bad moment', async () => {
  const link = simulateLink(createFakeCloud().connect, presets.wifi);
  const session = await model.createSession({ cloud: { url: 'ws://fake', wrapTransport: () => link.connect } });
  const generation = session.generate('Once upon a time', { maxOutputTokens: 24 });
  await playScript(link, [
    { afterMs: 20, do: 'cut' },
    { afterMs: 50, do: 'stall', durationMs: 100 },
  ]);
  expect((await generation).tokens).toHaveLength(24);
  await session.dispose();
});
// end

test('the README shows these examples as they are', () => {
  const read = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8');
  const examples = [...read('netsim-examples.test.ts').matchAll(/^\/\/ example: .*\n([\s\S]*?)^\/\/ end$/gm)];
  expect(examples).toHaveLength(3);
  for (const [, code] of examples) expect(read('../netsim/README.md')).toContain(code);
});
