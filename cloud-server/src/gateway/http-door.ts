import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { type ErrorCode, limits } from '@tandem/shared';
import { DASHBOARD_HEADERS, type Dashboard } from '../dashboard/dashboard.js';
import type { ReadyState } from '../health.js';
import type { AdminCheck } from './admin.js';

export interface HttpAnswers {
  ready(): Promise<ReadyState>;
  /** What `/v1/info` says; no secrets, it is asked without a credential. */
  info(): Record<string, unknown>;
  metrics(): Promise<{ contentType: string; text: string }>;
  isAdmin: AdminCheck;
  dashboard: Dashboard;
  /** Answers of another shape, under paths of their own; undefined while there are none. */
  completions(): HttpAnswerer | undefined;
}

export interface HttpAnswerer {
  handles(path: string | undefined): boolean;
  answer(request: IncomingMessage, response: ServerResponse): Promise<void>;
}

/** Answers to plain HTTP: how the server is, and what it serves. Upgrades are somebody else's. */
export function createHttpDoor(answers: HttpAnswers): Server {
  const server = createServer(
    {
      headersTimeout: limits.HTTP_HEADERS_TIMEOUT_MS,
      requestTimeout: limits.HTTP_HEADERS_TIMEOUT_MS,
      keepAliveTimeout: limits.HTTP_HEADERS_TIMEOUT_MS,
      // How often Node looks for the two timeouts above; its default of 30 s would make them 30 s.
      connectionsCheckingInterval: 1_000,
      maxHeaderSize: 16_384,
    },
    (request, response) => {
      answer(request, response, answers).catch(() => response.destroy());
    },
  );
  server.on('clientError', (_error, socket) => {
    if (socket.writable) refuse(socket, 400, { code: 'PROTOCOL_VIOLATION', message: 'this is not HTTP' });
    else socket.destroy();
  });
  return server;
}

/** Refuses on a bare socket, before there is a WebSocket, and hangs up. */
export function refuse(socket: Duplex, status: number, body: { code: ErrorCode; message: string }): void {
  const text = JSON.stringify(body);
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(text)}`,
    'Connection: close',
  ];
  // Not `end` alone: the peer might never close its side.
  socket.end(`${head.join('\r\n')}\r\n\r\n${text}`, () => socket.destroy());
}

async function answer(request: IncomingMessage, response: ServerResponse, answers: HttpAnswers): Promise<void> {
  const { method, url } = request;
  const completions = answers.completions();
  if (completions?.handles(url)) return completions.answer(request, response);
  const route = routeOf(url ?? '');
  // Bodies are not read: nothing here takes one.
  request.resume();
  if (!route) return json(response, 404, NOT_FOUND);
  if (method !== 'GET' && method !== 'HEAD') {
    response.setHeader('Allow', 'GET, HEAD');
    return json(response, 405, { code: 'METHOD_NOT_ALLOWED', message: 'only GET and HEAD are answered here' });
  }
  if (route.isForAdmins && !answers.isAdmin(request)) {
    response.setHeader('WWW-Authenticate', 'Basic realm="tandem-cloud"');
    return json(response, 401, { code: 'UNAUTHORIZED', message: 'this is for operators; see --admin-token' });
  }
  const { status = 200, type = 'application/json', headers, body } = await route.answer(answers, url ?? '');
  response.writeHead(status, { 'Content-Type': type, 'Cache-Control': 'no-store', ...headers });
  response.end(typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body));
}

interface Route {
  isForAdmins?: boolean;
  answer(answers: HttpAnswers, path: string): Promise<RouteAnswer>;
}

interface RouteAnswer {
  status?: number;
  type?: string;
  headers?: Readonly<Record<string, string>>;
  body: object | string;
}

const ROUTES: Record<string, Route> = {
  '/health': { answer: async () => ({ body: { status: 'ok' } }) },
  '/ready': {
    async answer(answers) {
      const state = await answers.ready();
      if (state.isReady) return { body: { status: 'ready', stepMs: state.stepMs } };
      return { status: 503, body: { status: 'not ready', reason: state.reason } };
    },
  },
  '/v1/info': { answer: async (answers) => ({ body: answers.info() }) },
  '/metrics': {
    isForAdmins: true,
    async answer(answers) {
      const { contentType, text } = await answers.metrics();
      return { type: contentType, body: text };
    },
  },
};

const DASHBOARD: Route = {
  isForAdmins: true,
  async answer({ dashboard }, path) {
    const answer = await dashboard.answer(path);
    return answer ? { ...answer, headers: DASHBOARD_HEADERS } : { status: 404, body: NOT_FOUND };
  },
};

const NOT_FOUND = { code: 'NOT_FOUND', message: `try ${[...Object.keys(ROUTES), '/dashboard'].join(', ')}` };

function routeOf(path: string): Route | undefined {
  if (path === '/dashboard' || path.startsWith('/dashboard/')) return DASHBOARD;
  return Object.hasOwn(ROUTES, path) ? ROUTES[path] : undefined;
}

function json(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' });
  response.end(JSON.stringify(body));
}
