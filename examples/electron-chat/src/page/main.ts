/** The window: the page of every chat example, answered through a port. */
import { explain } from '@tandem/chat-parts';
import { ChatPage } from '@tandem/chat-parts/page';
import { PortChat } from './port-chat.js';

const page = new ChatPage(document.querySelector('main')!, {
  title: 'A story for two',
  hint: 'Once upon a time, there was a little girl named Mia who loved to paint.',
});

const chat = new PortChat({
  told(message) {
    switch (message.kind) {
      case 'progress':
        page.progress = message.progress;
        return;
      case 'connection':
        page.connection = message.state;
        return;
      case 'failed':
        page.status = explain(message.error);
        return;
      case 'ready':
        return page.open(chat);
    }
  },
});

window.addEventListener('message', ({ data, ports: [port] }) => {
  if (data === 'tandem-port' && port) chat.connect(port);
});
