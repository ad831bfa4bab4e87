import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Conversation, type Piece, type Turn } from '@tandem/chat-parts';
import { EdgeModel, type Session } from '@tandem/edge';
import { prepareBundle } from '@tandem/model-kit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { removeFolder, writeRandomCheckpoint } from '../support/random-checkpoint.js';
import { talesBundle } from '../support/tales.js';

const OPENING = 'Once upon a time there was a brave mouse.';
/** Speakers alternate, the person first: as strict as templates are. */
const TEMPLATE =
  "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('out of turn') }}{% endif %} w3 {{ m.content }}{% endfor %} w4";

async function read(pieces: AsyncIterable<Piece>): Promise<Piece[]> {
  const all: Piece[] = [];
  for await (const piece of pieces) all.push(piece);
  return all;
}

const textOf = (pieces: readonly Pick<Piece, 'text'>[]) => pieces.map(({ text }) => text).join('');

describe('a conversation with a story model', () => {
  let model: EdgeModel;
  let session: Session;
  beforeAll(async () => {
    model = await EdgeModel.load(await talesBundle(['q8']), { threads: 1 });
  });
  beforeEach(async () => {
    session = await model.createSession({ mode: 'device-only' });
  });
  afterEach(() => session.dispose());
  afterAll(() => model.dispose());

  it('goes on with the text of all turns, paragraph by paragraph', async () => {
    const conversation = new Conversation(model);
    const first = await read(conversation.answer(session, OPENING));
    expect(textOf(first)).toMatch(/^\S.*[\n.!?"]$/s);
    await read(conversation.answer(session, ''));
    expect(conversation.turns.map(({ by }) => by)).toEqual(['you', 'model', 'model']);
    expect(textOf(conversation.turns[1]!.pieces!)).toBe(textOf(first));
    const again = new Conversation(model, conversation.turns.slice(0, 2));
    expect(textOf(await read(again.answer(session, '')))).toBe(textOf(conversation.turns[2]!.pieces!));
  });

  it('keeps what was settled when it is stopped, and the session takes the next text at once', async () => {
    const conversation = new Conversation(model);
    for await (const _piece of conversation.answer(session, OPENING)) break;
    expect(conversation.turns.at(-1)).toMatchObject({ by: 'model', text: expect.stringMatching(/\S/) });
    const stop = new AbortController();
    stop.abort();
    await expect(read(conversation.answer(session, 'Then', { signal: stop.signal }))).rejects.toThrow(/^ABORTED/);
    // An answer without a word is none.
    expect(conversation.turns.at(-1)).toEqual({ by: 'you', text: 'Then' });
    expect(textOf(await read(conversation.answer(session, '')))).toMatch(/\w/);
  });

  it('forgets the oldest turns when the context is full', async () => {
    const turns: Turn[] = Array.from({ length: 60 }, () => ({ by: 'you', text: `${OPENING} He had a red hat.` }));
    expect(model.tokenizer.encode(turns.map(({ text }) => text).join(' ')).length).toBeGreaterThan(512);
    const conversation = new Conversation(model, turns);
    expect(textOf(await read(conversation.answer(session, 'One day')))).toMatch(/\w/);
    expect(conversation.turns).toHaveLength(62);
  });
});

describe('a conversation with a model that has a chat template', () => {
  let checkpoint: string;
  let model: EdgeModel;
  beforeAll(async () => {
    checkpoint = await writeRandomCheckpoint();
    const config = { bos_token: 'w1', chat_template: TEMPLATE };
    await writeFile(join(checkpoint, 'tokenizer_config.json'), JSON.stringify(config));
    const out = join(checkpoint, 'bundle');
    await prepareBundle({ checkpoint, out, exits: [2], cut: 2, formats: ['f32'] });
    model = await EdgeModel.load(out, { threads: 1 });
  });
  afterAll(async () => {
    await model.dispose();
    await removeFolder(checkpoint);
  });

  it('sends messages, and drops whole exchanges when the context is full', async () => {
    const session = await model.createSession({ mode: 'device-only' });
    const conversation = new Conversation(model);
    const rules = { maxOutputTokens: 40, temperature: 0 };
    const answers: string[] = [];
    for (let turn = 0; turn < 12; turn++)
      answers.push(textOf(await read(conversation.answer(session, 'w9 w10', rules))));
    expect(conversation.turns).toHaveLength(24);
    // The first answer is that to the one message alone.
    const alone = await session.chat([{ role: 'user', content: 'w9 w10' }], rules);
    expect(answers[0]).toBe(alone.text.trimStart());
    await session.dispose();
  });
});
