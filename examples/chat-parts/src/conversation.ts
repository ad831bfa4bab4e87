import type { EdgeModel, GenerateOptions, Generation, Session, TextPart } from '@tandem/edge';

export interface Turn {
  by: 'you' | 'model';
  text: string;
  /** Of an answer: what it was written in, for the colours. */
  pieces?: Pick<Piece, 'text' | 'origin'>[];
}

/** Where a piece was decided: on the device, in the cloud, or on the device because the cloud was away. */
export type PieceOrigin = 'device' | 'cloud' | 'alone';

/** A piece of an answer, plain enough for any port between processes. */
export interface Piece {
  /** An answer may begin with a new paragraph; its pieces begin with the first word. */
  text: string;
  origin: PieceOrigin | undefined;
  /** What the device expects to follow; the next piece's replaces it. */
  provisional: string;
}

/** Enough for an answer, little enough for a small model not to lose its thread. */
const ANSWER_TOKENS_MAX = 120;
/** A story's answer ends at the first sentence that ends behind so many tokens. */
const STORY_TOKENS = 48;

/**
 * A chat with one model: what was said, and the next answer. Models with a chat template answer; others, like the story
 * model of this repository, go on with the text so far, turn by turn. Knows neither screens nor processes.
 */
export class Conversation {
  readonly turns: Turn[];
  readonly #model: EdgeModel;

  /** `turns`: of an earlier visit. */
  constructor(model: EdgeModel, turns: readonly Turn[] = []) {
    this.#model = model;
    this.turns = turns.map((turn) => ({ ...turn }));
  }

  /**
   * Adds what was written and streams the answer. An empty text asks the model to go on. Whatever ends it, what was
   * settled of the answer stays: the next one rests on it.
   *
   * @throws TandemError as `session.generate` does
   */
  async *answer(session: Session, text: string, options: GenerateOptions = {}): AsyncGenerator<Piece> {
    if (text.trim()) this.turns.push({ by: 'you', text: text.trim() });
    if (this.turns.length === 0) return;
    const rules = { maxOutputTokens: ANSWER_TOKENS_MAX, ...options };
    const generation = this.#generate(session, rules);
    const pieces: NonNullable<Turn['pieces']> = [];
    const turn: Turn = { by: 'model', text: '', pieces };
    this.turns.push(turn);
    let tokens = 0;
    try {
      for await (const part of generation) {
        const text = turn.text.trim() === '' ? part.text.trimStart() : part.text;
        turn.text += part.text;
        tokens += part.tokens.length;
        const piece = { ...pieceOf(part), text };
        if (text) pieces.push({ text, origin: piece.origin });
        yield piece;
        if (!this.#model.hasChatTemplate && isTold(turn.text, tokens)) break;
      }
    } finally {
      // Leaving the loop aborts; a session takes the next text once that is over.
      await generation.then(ignore, ignore);
      if (turn.text === '') this.turns.splice(this.turns.indexOf(turn), 1);
    }
  }

  #generate(session: Session, options: GenerateOptions & { maxOutputTokens: number }): Generation {
    const turns = this.#thatFit(options.maxOutputTokens);
    if (!this.#model.hasChatTemplate) return session.generate(storyOf(turns), options);
    return session.chat(messagesOf(turns), options);
  }

  /** The newest turns that leave room for the answer. One that is too long alone is for the SDK to refuse. */
  #thatFit(maxOutputTokens: number): Turn[] {
    const { hasChatTemplate, tokenizer, manifest } = this.#model;
    const textOf = (turns: Turn[]) =>
      hasChatTemplate ? this.#model.applyChatTemplate(messagesOf(turns)) : storyOf(turns);
    const turns = [...this.turns];
    while (turns.length > 1 && tokenizer.encode(textOf(turns)).length + maxOutputTokens > manifest.contextLength) {
      turns.shift();
      // Templates want the person to speak first.
      while (hasChatTemplate && turns.length > 1 && turns[0]!.by === 'model') turns.shift();
    }
    return turns;
  }
}

function storyOf(turns: readonly Turn[]): string {
  return turns.reduce((story, { text }) => {
    const isApart = story === '' || /\s$/.test(story) || /^\s/.test(text);
    return story + (isApart ? '' : ' ') + text;
  }, '');
}

function messagesOf(turns: readonly Turn[]) {
  return turns.map(({ by, text }) => ({ role: by === 'you' ? 'user' : 'assistant', content: text }));
}

/** At the end of a paragraph, or of a sentence once there are enough of them. */
function isTold(text: string, tokens: number): boolean {
  return /\S.*\n/.test(text) || (tokens >= STORY_TOKENS && /[.!?]["”]?\s*$/.test(text));
}

function pieceOf({ tokens, provisional }: TextPart): Omit<Piece, 'text'> {
  const origin = tokens.at(-1)?.origin;
  if (!origin) return { provisional, origin: undefined };
  if (origin.kind !== 'exit') return { provisional, origin: 'cloud' };
  return { provisional, origin: origin.degraded ? 'alone' : 'device' };
}

function ignore(): void {}
