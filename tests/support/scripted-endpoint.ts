import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Answers one request of a completion in some way of its own. */
export type Script = (response: ServerResponse, body: string, request: IncomingMessage) => void | Promise<void>;

/** A real HTTP server in the place of a larger model, with the faults that a working one does not show on demand. */
export interface ScriptedEndpoint {
  port: number;
  /** Bodies of what was asked so far. */
  asked: string[];
  script: Script;
  close(): Promise<void>;
}

export async function startScriptedEndpoint(script: Script): Promise<ScriptedEndpoint> {
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    endpoint.asked.push(body);
    await endpoint.script(response, body, request);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const endpoint: ScriptedEndpoint = {
    port: (server.address() as AddressInfo).port,
    asked: [],
    script,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return endpoint;
}

function stream(response: ServerResponse): void {
  response.writeHead(200, { 'Content-Type': 'text/event-stream' });
}

export function event(text: string, finishReason: string | null = null): string {
  return `data: ${JSON.stringify({ choices: [{ index: 0, text, finish_reason: finishReason }] })}\n\n`;
}

/** A stream of these pieces that ends as it should. */
export function writes(...pieces: string[]): Script {
  return (response) => {
    stream(response);
    for (const piece of pieces) response.write(event(piece));
    response.end(`${event('', 'length')}data: [DONE]\n\n`);
  };
}

/** By what the server should call it in its log. */
export const FAULTS: Record<string, Script> = {
  'slow: no headers': () => {},
  'slow: headers and nothing more': (response) => {
    stream(response);
    response.write(': still thinking\n\n');
  },
  'refused: an error of the server': (response) => {
    response.writeHead(500, { 'Content-Type': 'application/json' }).end('{"error":{"message":"canary"}}');
  },
  'refused: a redirect': (response) => {
    response.writeHead(307, { Location: 'http://127.0.0.1:1/v1/completions' }).end();
  },
  'malformed: a page': (response) => {
    response.writeHead(200, { 'Content-Type': 'text/html' }).end('<h1>canary</h1>');
  },
  'malformed: an event that is no JSON': (response) => {
    stream(response);
    response.end('data: {"choices": [canary\n\n');
  },
  'malformed: an event of another shape': (response) => {
    stream(response);
    response.end('data: {"choices": [{"text": 5}]}\n\n');
  },
  'malformed: an event without end': (response) => {
    stream(response);
    response.write(`data: ${'canary'.repeat(20_000)}`);
  },
  'failed-in-stream: an error event': (response) => {
    stream(response);
    response.end('data: {"error": {"message": "canary"}}\n\n');
  },
  'broken-off: a clean end too early': (response) => {
    stream(response);
    response.end();
  },
  'broken-off: a reset': (response) => {
    stream(response);
    response.write(': here I am\n\n', () => response.destroy());
  },
  'unwritable: text that the vocabulary lacks': writes('<|endoftext|> and more '),
};
