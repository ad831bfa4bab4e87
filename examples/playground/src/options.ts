import { Command, InvalidArgumentError } from 'commander';

export interface PlaygroundOptions {
  port: number;
}

export function parsePlaygroundOptions(argv: readonly string[]): PlaygroundOptions {
  const command = new Command('playground')
    .description('Tells stories in the browser, with a server beside it.')
    .option('--port <number>', 'port of the page; 0 takes any free one', portNumber, 5173);
  return command.parse([...argv]).opts<PlaygroundOptions>();
}

function portNumber(text: string): number {
  const port = Number(text);
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port;
  throw new InvalidArgumentError('a port is a number from 0 to 65535.');
}
