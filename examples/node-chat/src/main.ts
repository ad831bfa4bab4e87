/** A chat in the terminal: a line of yours, an answer of the model, coloured by where each token was decided. */
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { explain } from '@tandem/chat-parts';
import { EdgeModel } from '@tandem/edge';
import { Chat } from './chat.js';
import { runCommand } from './commands.js';

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'model' },
    cloud: { type: 'string', default: 'ws://localhost:8787' },
  },
});

async function main(): Promise<void> {
  const model = await EdgeModel.load(values.model);
  const chat = await Chat.start(model, values.cloud, (text) => process.stdout.write(text));
  const lines = createInterface({ input: process.stdin, output: process.stdout, prompt: '› ' });
  // The first Ctrl+C stops an answer; without one it ends the chat.
  const interrupt = () => {
    if (!chat.stop()) lines.close();
  };
  lines.on('SIGINT', interrupt);
  process.on('SIGINT', interrupt);
  chat.greet();
  lines.prompt();
  for await (const line of lines) {
    if (line.startsWith('/')) await runCommand(chat, line);
    else await chat.answer(line);
    if (chat.isOver) break;
    lines.prompt();
  }
  lines.close();
  await model.dispose();
}

main().catch((error) => {
  process.stderr.write(`${explain(error)}\n`);
  process.exitCode = 1;
});
