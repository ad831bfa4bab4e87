import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { limits, systemRandom, TandemError } from '@tandem/shared';
import * as z from 'zod';
import type { EdgeModel } from '../model.js';
import { parseOptions, type SessionOptions } from '../options.js';
import { Completer } from './completer.js';
import { EndpointDoor } from './endpoint-door.js';
import { Gate } from './gate.js';
import { SessionPool } from './session-pool.js';

const endpointOptionsSchema = z.strictObject({
  /** Address to listen at. Whoever reaches it may use the model, so the loopback unless there is a key. */
  host: z.string().min(1).default('127.0.0.1'),
  /** 0 takes a free one. */
  port: z.int().min(0).max(65_535).default(8788),
  /** What clients send as `Authorization: Bearer …`. */
  apiKey: z.string().min(1).optional(),
  /** Origins of web pages that may ask, as `https://app.example`. */
  allowedOrigins: z.array(z.string().min(1)).max(64).default([]),
  /** Requests at a time; more wait. Each has a session with caches of its own. */
  sessionsMax: z.int().min(1).max(256).default(4),
});

export type EndpointOptions = z.input<typeof endpointOptionsSchema>;

/** A running endpoint. */
export interface EdgeEndpoint {
  /** For a client's `baseURL`. */
  url: string;
  port: number;
  /** Ends what runs and closes the sessions; the model stays the caller's. */
  close(): Promise<void>;
}

const LOOPBACK = /^(127\.|::1$|localhost$)/;

/**
 * Serves a model to any client of OpenAI's API on this machine: every request is a generation of a session with these
 * options, so device and cloud share the work as they do in an app. Node only.
 *
 * Codes: INVALID_OPTION.
 */
export async function startEdgeEndpoint(
  model: EdgeModel,
  session: SessionOptions,
  options: EndpointOptions = {},
): Promise<EdgeEndpoint> {
  const { host, port, apiKey, allowedOrigins, sessionsMax } = parseOptions(
    endpointOptionsSchema,
    'startEdgeEndpoint',
    options,
  );
  if (apiKey === undefined && !LOOPBACK.test(host)) {
    const message = `an endpoint at ${host} without a key is open to the network; set apiKey or listen at 127.0.0.1`;
    throw new TandemError('INVALID_OPTION', message);
  }
  const pool = new SessionPool(model, session, sessionsMax);
  const completer = new Completer(model, pool, systemRandom);
  const door = new EndpointDoor(completer, new Gate({ apiKey, allowedOrigins }));
  const server = createServer(
    { headersTimeout: limits.HTTP_HEADERS_TIMEOUT_MS, keepAliveTimeout: limits.HTTP_HEADERS_TIMEOUT_MS },
    (request, response) => void door.answer(request, response).catch(() => response.destroy()),
  );
  await listen(server, port, host);
  const address = server.address() as AddressInfo;
  const name = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return {
    url: `http://${name}:${address.port}/v1`,
    port: address.port,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      await completer.stop();
      server.closeAllConnections();
      await closed;
      await pool.dispose();
    },
  };
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const message = `cannot listen at ${host}:${port}: ${cause.code ?? cause.message}; choose another port or address`;
      reject(new TandemError('INVALID_OPTION', message, { cause }));
    });
    server.listen(port, host, resolve);
  });
}
