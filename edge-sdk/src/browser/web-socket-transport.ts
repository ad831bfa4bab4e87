import { type Connect, CREDENTIAL_PREFIX, SESSION_PATH, SUBPROTOCOL, TandemError } from '@tandem/shared';
import type { WebSocketTarget } from '../link/web-socket-transport.js';

/**
 * The browser's own WebSocket. It hides why a connection failed (status and reason are kept from scripts, lest pages scan
 * a network), so a refused credential looks like a server that is away.
 */
export function webSocketConnect({ url, sessionId, token }: WebSocketTarget): Connect {
  const address = new URL(SESSION_PATH + sessionId, url).href;
  const credential = token === undefined ? [] : [CREDENTIAL_PREFIX + base64Url(token)];
  return (handlers) => {
    const socket = new WebSocket(address, [SUBPROTOCOL, ...credential]);
    socket.binaryType = 'arraybuffer';
    let opened = false;
    let closed = false;
    socket.onopen = () => {
      opened = true;
      handlers.opened();
    };
    socket.onmessage = ({ data }) => {
      if (closed) return;
      if (data instanceof ArrayBuffer) handlers.received(new Uint8Array(data));
      else socket.close(CLOSE_UNSUPPORTED, 'text messages are not used');
    };
    socket.onclose = ({ code, reason }) => {
      if (closed) return;
      closed = true;
      const error = opened ? undefined : new TandemError('CLOUD_UNAVAILABLE', `${url}: the connection did not open`);
      handlers.closed({ code, text: reason, ...(error ? { error } : {}) });
    };
    return {
      get bufferedBytes() {
        return socket.bufferedAmount;
      },
      send(frame) {
        if (socket.readyState === WebSocket.OPEN) socket.send(frame as Uint8Array<ArrayBuffer>);
      },
      close(code = 1000, text = '') {
        socket.close(code, text);
      },
    };
  };
}

/** Browsers refuse to send the codes below 3000 but for 1000. */
const CLOSE_UNSUPPORTED = 4003;

function base64Url(text: string): string {
  const binary = String.fromCharCode(...new TextEncoder().encode(text));
  return btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}
