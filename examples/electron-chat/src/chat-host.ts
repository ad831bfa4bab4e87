import { Conversation } from '@tandem/chat-parts';
import type { EdgeModel, Session } from '@tandem/edge';
import type { MainPort } from './electron-parts.js';
import { type HostMessage, type PageMessage, portError } from './port-messages.js';

/** Answers one page through its port until the page is gone. Returns its session. */
export async function serveChat(port: MainPort, model: EdgeModel, cloudUrl: string): Promise<Session> {
  const say = (message: HostMessage) => port.postMessage(message);
  const session = await model.createSession({ cloud: { url: cloudUrl }, onCloudUnavailable: 'degrade' });
  session.connection$.subscribe(({ state }) => say({ kind: 'connection', state }));
  let conversation = new Conversation(model);
  let running: AbortController | undefined;

  port.on('message', ({ data }) => {
    const message = data as PageMessage;
    switch (message.kind) {
      case 'begin':
        conversation = new Conversation(model, message.turns);
        return say({ kind: 'ready' });
      case 'ask':
        running = new AbortController();
        return void answer(say, session, conversation, message, running.signal);
      case 'stop':
        return running?.abort();
    }
  });
  port.on('close', () => void session.dispose());
  port.start();
  return session;
}

async function answer(
  say: (message: HostMessage) => void,
  session: Session,
  conversation: Conversation,
  { id, text }: { id: number; text: string },
  signal: AbortSignal,
): Promise<void> {
  try {
    const rules = { temperature: 0.8, emit: 'provisional', signal } as const;
    for await (const piece of conversation.answer(session, text, rules)) say({ kind: 'piece', id, piece });
    say({ kind: 'end', id });
  } catch (error) {
    say({ kind: 'end', id, error: portError(error) });
  }
}
