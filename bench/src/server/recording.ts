import type { EdgeModel } from '@tandem/edge';
import { presets, simulateLink } from '@tandem/netsim';
import {
  type Connect,
  decodeMessage,
  encodeTokenIds,
  GREEDY,
  type Message,
  type Messages,
  type TransportHandlers,
} from '@tandem/shared';

/** What one session sends, forward by forward, each when the one before is answered. */
export interface Recording {
  open: Messages['session-open'];
  forwards: { control: Messages['context-forward']; payload: Uint8Array }[];
  /** Tokens that these forwards settle. */
  tokens: number;
}

/**
 * A story told by the real SDK over a link that keeps what goes by. Replaying it costs a server what the session did, and
 * no device: 128 devices do not fit beside the server that is measured.
 */
export async function recordExact(model: EdgeModel, url: string, opening: string, seed: number): Promise<Recording> {
  const up: Message[] = [];
  const answers: number[] = [];
  // Drafts are as long as the link makes them: over a loopback none would be worth it.
  const wrapTransport = (inner: Connect): Connect => {
    const { connect } = simulateLink(inner, presets['4g'], { seed });
    return (handlers) => {
      const transport = connect(listening(handlers, answers));
      return {
        get bufferedBytes() {
          return transport.bufferedBytes;
        },
        send(frame) {
          up.push(decodeMessage(frame.slice()));
          transport.send(frame);
        },
        close: (code, text) => transport.close(code, text),
      };
    };
  };
  const session = await model.createSession({
    mode: 'exact',
    onCloudUnavailable: 'wait',
    cloud: { url, wrapTransport },
  });
  const { tokens } = await session.generate(opening, { maxOutputTokens: 48, temperature: 0.8, seed });
  await session.dispose();
  const opened = up.find((message) => message.kind === 'session-open');
  if (opened?.kind !== 'session-open') throw new Error('the session was never opened');
  const forwards = up.flatMap((message) => {
    if (message.kind !== 'context-forward' || !takeAnswer(answers, message.control.epoch)) return [];
    return [{ control: message.control, payload: message.payload }];
  });
  return { open: opened.control, forwards, tokens: tokens.length };
}

/** The same story, one token a forward: what a server runs for a client without device stages that reads as it is told. */
export function recordCloudOnly(
  exact: Recording,
  tokens: readonly number[],
  promptLength: number,
  vocabularySize: number,
): Recording {
  // Drawn alike: the likeliest token would be cheaper to find.
  const sampling = exact.forwards[0]?.control.sampling ?? GREEDY;
  const control = { epoch: 1, drafts: [], sampling };
  const prompt = tokens.slice(0, promptLength);
  const first = { ...control, from: 0, count: promptLength, want: [promptLength - 1] };
  const forwards = [{ control: first as Messages['context-forward'], payload: encodeTokenIds(prompt, vocabularySize) }];
  for (let position = promptLength; position < tokens.length - 1; position++) {
    const next = { ...control, from: position, count: 1, want: [position] };
    forwards.push({
      control: next as Messages['context-forward'],
      payload: encodeTokenIds([tokens[position]!], vocabularySize),
    });
  }
  const { prefix: _, resume: __, ...open } = exact.open;
  return { open: { ...open, context: 'tokens' }, forwards, tokens: forwards.length };
}

function listening(handlers: TransportHandlers, answers: number[]): TransportHandlers {
  return {
    ...handlers,
    opened: () => handlers.opened(),
    closed: (reason) => handlers.closed(reason),
    received(frame) {
      const message = decodeMessage(frame.slice());
      if (message.kind === 'verdict' || message.kind === 'credit') answers.push(message.control.epoch);
      handlers.received(frame);
    },
  };
}

function takeAnswer(answers: number[], epoch: number): boolean {
  const index = answers.indexOf(epoch);
  if (index < 0) return false;
  answers.splice(index, 1);
  return true;
}
