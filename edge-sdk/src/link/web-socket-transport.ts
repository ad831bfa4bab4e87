import { type Connect, CREDENTIAL_PREFIX, limits, SESSION_PATH, SUBPROTOCOL, TandemError } from '@tandem/shared';
import WebSocket from 'ws';

export interface WebSocketTarget {
  /** `ws://` or `wss://` address of the server, without path. */
  url: string;
  sessionId: string;
  /** Sent as an offered subprotocol, never in the URL: URLs end up in logs. */
  token: string | undefined;
}

/** The only door to ws on the device. Node only; browsers have their own WebSocket. */
export function webSocketConnect({ url, sessionId, token }: WebSocketTarget): Connect {
  const address = new URL(SESSION_PATH + sessionId, url).href;
  const credential = token === undefined ? [] : [CREDENTIAL_PREFIX + Buffer.from(token).toString('base64url')];
  return (handlers) => {
    const socket = new WebSocket(address, [SUBPROTOCOL, ...credential], {
      perMessageDeflate: false,
      maxPayload: limits.FRAME_BYTES_MAX,
      handshakeTimeout: limits.CONNECT_TIMEOUT_MS,
      followRedirects: false,
    });
    let failure: TandemError | undefined;
    let closed = false;
    const reportClosed = (code: number, text: string) => {
      if (closed) return;
      closed = true;
      handlers.closed({ code, text, ...(failure ? { error: failure } : {}) });
    };
    // First of all: without a listener one malformed frame would end the process.
    socket.on('error', (cause) => {
      failure ??= new TandemError('CLOUD_UNAVAILABLE', `${url}: ${describe(cause)}`, { cause });
    });
    socket.on('unexpected-response', (_request, response) => {
      failure = refusal(response.statusCode ?? 0, url);
      response.destroy();
      socket.terminate();
      reportClosed(1006, `HTTP ${response.statusCode}`);
    });
    socket.on('open', () => handlers.opened());
    socket.on('message', (data, isBinary) => {
      if (closed) return;
      if (isBinary) handlers.received(data as Buffer);
      else socket.close(1003, 'text messages are not used');
    });
    socket.on('close', (code, reason) => reportClosed(code, reason.toString()));
    return {
      get bufferedBytes() {
        return socket.bufferedAmount;
      },
      send(frame) {
        if (socket.readyState === WebSocket.OPEN) socket.send(frame, { binary: true, compress: false });
      },
      close(code = 1000, text = '') {
        if (socket.readyState === WebSocket.CONNECTING) socket.terminate();
        else socket.close(code, text);
      },
    };
  };
}

function refusal(status: number, url: string): TandemError {
  if (status === 401 || status === 403) {
    return new TandemError('UNAUTHORIZED', `${url} answered ${status}; check the token that cloud.token returns`);
  }
  if (status === 400 || status === 404 || status === 426) {
    return new TandemError('PROTOCOL_VIOLATION', `${url} answered ${status}; is it a tandem-cloud of this version?`);
  }
  return new TandemError('CLOUD_UNAVAILABLE', `${url} answered ${status}`);
}

/** An AggregateError of several addresses has an empty message; its code still says what happened. */
function describe(cause: Error & { code?: string }): string {
  return cause.message || cause.code || cause.name;
}
