import type { Chat, Mode } from './chat.js';

const MODES: readonly Mode[] = ['exact', 'collaborative', 'device-only', 'cloud-only'];

interface Command {
  words: string;
  run(chat: Chat, argument: string): void | Promise<void>;
}

const COMMANDS: Record<string, Command> = {
  '/help': { words: 'what can be said', run: (chat) => chat.say(help()) },
  '/mode': {
    words: `who settles a token: ${MODES.join(', ')}`,
    run: async (chat, name) => {
      const mode = MODES.find((known) => known === name);
      if (mode) await chat.open(mode);
      chat.say(mode ? `From now on ${mode}.` : `/mode ${MODES.join(' | ')}; now ${chat.mode}`);
    },
  },
  '/offline': {
    words: 'the device alone, no connection; again: back to the cloud',
    run: async (chat) => {
      await chat.open(chat.mode === 'device-only' ? 'exact' : 'device-only');
      chat.say(chat.mode === 'device-only' ? 'Offline: no connection is open.' : 'Online again.');
    },
  },
  '/new': { words: 'forgets what was said', run: (chat) => chat.forget() },
  '/quit': { words: 'ends the chat', run: (chat) => chat.end() },
};

export async function runCommand(chat: Chat, line: string): Promise<void> {
  const [name = '', argument = ''] = line.trim().split(/\s+/);
  const command = COMMANDS[name];
  if (command) await command.run(chat, argument);
  else chat.say(`There is no ${name}.\n${help()}`);
}

function help(): string {
  return Object.entries(COMMANDS)
    .map(([name, { words }]) => `  ${name.padEnd(9)} ${words}`)
    .join('\n');
}
