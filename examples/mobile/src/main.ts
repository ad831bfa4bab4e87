/** The page that Capacitor wraps: a conversation that survives tunnels, other apps and a phone that ends it. */
import { App } from '@capacitor/app';
import { Conversation, explain, type Piece } from '@tandem/chat-parts';
import { ChatPage } from '@tandem/chat-parts/page';
import { EdgeModel } from '@tandem/edge';
import { notebook } from './notebook.js';

const MODEL = '/model';
/** A phone's localhost is the phone: `VITE_CLOUD=wss://… npm run build:web`. */
const CLOUD = new URLSearchParams(location.search).get('cloud') ?? import.meta.env.VITE_CLOUD ?? 'ws://localhost:8787';

const page = new ChatPage(document.querySelector('main')!, {
  title: 'A story for two',
  hint: 'Once upon a time, there was a little girl named Mia who loved to paint.',
});

async function main(): Promise<void> {
  const onProgress: NonNullable<Parameters<typeof EdgeModel.download>[1]>['onProgress'] = (progress) => {
    page.progress = progress;
  };
  // Asks the system to keep the files; then a start needs no network.
  await EdgeModel.download(MODEL, { onProgress });
  const model = await EdgeModel.load(MODEL, { onProgress });
  const session = await model.createSession({
    cloud: { url: CLOUD, unavailableAfterMs: 2_000 },
    onCloudUnavailable: 'degrade',
    likelyToReturn: true,
  });
  session.connection$.subscribe(({ state }) => {
    page.connection = state;
  });

  const last = notebook.read();
  const conversation = new Conversation(model, last.turns);
  let isOpen = false;
  const keep = () => notebook.write({ turns: conversation.turns, isOpen });
  async function* answer(text: string, signal: AbortSignal): AsyncGenerator<Piece> {
    isOpen = true;
    try {
      yield* conversation.answer(session, text, { temperature: 0.8, emit: 'provisional', signal });
    } finally {
      isOpen = false;
      keep();
    }
  }
  page.open({ answer }, last.turns);

  await App.addListener('appStateChange', ({ isActive }) => {
    // In the background the system may freeze the page or end it, and says neither.
    if (!isActive) return keep();
    // A connection that was frozen may be dead without knowing it. The answer goes on over the new one.
    session.reconnect();
  });
  await App.addListener('backButton', () => {
    if (!page.stop()) void App.minimizeApp();
  });
  // The system ended the app in the middle of an answer.
  if (last.isOpen) await page.send();
}

main().catch((error) => {
  page.status = explain(error);
});
