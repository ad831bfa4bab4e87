import type { IncomingMessage, ServerResponse } from 'node:http';
import { sseEvent } from '../openai/completion-answer.js';
import { OpenAiError } from '../openai/openai-error.js';

/** What every door that speaks OpenAI's language over plain HTTP does in the same way. */

/** @throws OpenAiError 405 */
export function checkMethod(request: IncomingMessage, method: 'GET' | 'POST'): void {
  if (request.method === method) return;
  throw new OpenAiError(405, `${request.url} takes ${method} only`);
}

/** The body of a POST of JSON. A form of a foreign page can post text, but not JSON. @throws OpenAiError 405, 413, 415 */
export function readPost(request: IncomingMessage, bytesMax: number): Promise<string> {
  checkMethod(request, 'POST');
  if (!/^application\/json\b/i.test(request.headers['content-type'] ?? '')) {
    throw new OpenAiError(415, 'send Content-Type: application/json');
  }
  return readBody(request, bytesMax);
}

/** By its events: leaving a loop over the request would close the socket before the refusal is out. */
function readBody(request: IncomingMessage, bytesMax: number): Promise<string> {
  return new Promise((resolve, reject) => {
    let chunks: Buffer[] = [];
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= bytesMax) return chunks.push(chunk);
      chunks = [];
      reject(new OpenAiError(413, `the body has more than ${bytesMax} bytes`));
    });
    request.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')));
    request.on('error', reject);
  });
}

/** Waits for a client that reads slowly; one that is gone ends the completion by its signal. */
export function write(response: ServerResponse, text: string): Promise<void> {
  if (response.write(text) || response.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const go = () => {
      response.off('drain', go);
      response.off('close', go);
      resolve();
    };
    response.on('drain', go);
    response.on('close', go);
  });
}

/** Before the first event of a stream; until then a failure can still have a status of its own. */
export function beginEvents(response: ServerResponse): void {
  if (!response.headersSent)
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
}

/** As the status of an answer, or as the last event of one that has begun. */
export function answerError(response: ServerResponse, { status, body }: { status: number; body: object }): void {
  if (response.headersSent) return void response.end(sseEvent(body));
  // A body that was not read to its end must not be taken for the next request.
  response.setHeader('Connection', 'close');
  json(response, status, body);
}

export function json(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' });
  response.end(JSON.stringify(body));
}
