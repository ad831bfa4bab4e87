import { once } from 'node:events';
import { request } from 'node:http';
import type { Socket } from 'node:net';

/** The status line and JSON body of an answer. */
export interface JsonAnswer {
  status: number;
  body: Record<string, unknown>;
}

/** Plain HTTP on the loopback. */
export async function ask(port: number, path: string, method = 'GET'): Promise<JsonAnswer> {
  const { status, text } = await askText(port, path, { method });
  return { status, body: JSON.parse(text) };
}

/** The same for answers that are not JSON. */
export async function askText(
  port: number,
  path: string,
  options: { method?: string; headers?: Record<string, string> } = {},
): Promise<{ status: number; text: string }> {
  const asked = request({ host: '127.0.0.1', port, path, agent: false, ...options });
  asked.end();
  const [answer] = await once(asked, 'response');
  let text = '';
  for await (const chunk of answer) text += chunk;
  return { status: answer.statusCode, text };
}

/** Asks for an upgrade with headers of the test's own; gives the socket of a 101, or the refusal. */
export async function upgrade(
  port: number,
  path: string,
  headers: Record<string, string>,
): Promise<{ socket: Socket } | JsonAnswer> {
  const asked = request({
    host: '127.0.0.1',
    port,
    path,
    agent: false,
    headers: {
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Key': Buffer.alloc(16, 1).toString('base64'),
      ...headers,
    },
  });
  asked.end();
  return new Promise((resolve, reject) => {
    asked.on('error', reject);
    asked.on('upgrade', (_answer, socket) => resolve({ socket }));
    asked.on('response', async (answer) => {
      let text = '';
      for await (const chunk of answer) text += chunk;
      resolve({ status: answer.statusCode ?? 0, body: JSON.parse(text) });
    });
  });
}

/** One WebSocket frame of a client, with a mask of zeros. `first`: FIN, reserved bits and opcode. */
export function webSocketFrame(first: number, payload: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from([first, 0x80 | payload.length, 0, 0, 0, 0]), payload]);
}
