/** The smallest app on Tandem: one model, one session, one conversation, one page. */

import { Conversation, explain } from '@tandem/chat-parts';
import { ChatPage, type ChatSource } from '@tandem/chat-parts/page';
import { EdgeModel } from '@tandem/edge';

const MODEL = '/model';
const CLOUD = new URLSearchParams(location.search).get('cloud') ?? 'ws://localhost:8787';

const page = new ChatPage(document.querySelector('main')!, {
  title: 'A story for two',
  hint: 'Once upon a time, there was a little girl named Mia who loved to paint.',
});

async function main(): Promise<void> {
  const model = await EdgeModel.load(MODEL, {
    onProgress: (progress) => {
      page.progress = progress;
    },
  });
  const session = await model.createSession({ cloud: { url: CLOUD }, onCloudUnavailable: 'degrade' });
  session.connection$.subscribe(({ state }) => {
    page.connection = state;
  });
  const conversation = new Conversation(model);
  const source: ChatSource = {
    answer: (text, signal) => conversation.answer(session, text, { temperature: 0.8, emit: 'provisional', signal }),
  };
  page.open(source);
}

main().catch((error) => {
  page.status = explain(error);
});
