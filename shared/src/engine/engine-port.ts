import { type ErrorCode, TandemError } from '../errors.js';
import type { Engine, EngineInfo, StepOutcome, StepResult } from './engine.js';

/**
 * An engine behind a message port: worker, child process, later a web worker or Electron's utilityProcess.
 * Requests are numbered; answers may come in any order.
 */
export interface EnginePort {
  post(message: unknown): void;
  /** Called for every message; one listener. */
  listen(listener: (message: unknown) => void): void;
}

type Method = 'open' | 'step' | 'stepTogether' | 'dropBatches' | 'copy' | 'close' | 'dispose';
type Request = { id: number; method: Method; argument: unknown };
type Answer =
  | { ready: EngineInfo }
  | { failed: WireError }
  | { id: number; result: unknown }
  | { id: number; error: WireError };

/** An error as it crosses a port. */
export interface WireError {
  code: ErrorCode;
  message: string;
}

/** Host side: loads the engine, says `ready` or `failed`, answers requests. */
export async function serveEngine(port: EnginePort, load: () => Promise<Engine>): Promise<void> {
  let engine: Engine;
  try {
    engine = await load();
  } catch (error) {
    port.post({ failed: toWireError(error) } satisfies Answer);
    return;
  }
  // One step at a time per engine: a chain's calls must not overlap, and the runtime uses all its threads anyway.
  let last: Promise<unknown> = Promise.resolve();
  port.listen((message) => {
    const request = message as Request;
    last = last.then(() => answer(port, engine, request));
  });
  port.post({ ready: engine.info } satisfies Answer);
}

async function answer(port: EnginePort, engine: Engine, { id, method, argument }: Request): Promise<void> {
  try {
    const call = (engine[method] ?? nothing) as (argument: unknown) => Promise<unknown>;
    const result = await call.call(engine, argument);
    port.post({
      id,
      result: method === 'stepTogether' ? (result as StepOutcome[]).map(toWire) : result,
    } satisfies Answer);
  } catch (error) {
    port.post({ id, error: toWireError(error) } satisfies Answer);
  }
}

type WireOutcome = StepResult | { error: WireError };

function toWire(outcome: StepOutcome): WireOutcome {
  return outcome instanceof Error ? { error: toWireError(outcome) } : outcome;
}

function fromWire(outcome: WireOutcome): StepOutcome {
  return 'error' in outcome ? fromWireError(outcome.error) : outcome;
}

/** Of an engine that cannot copy. */
async function nothing(): Promise<number> {
  return 0;
}

/** Client side: resolves once the host is ready. `lost(reason)` rejects everything that is under way. */
export function connectEngine(port: EnginePort): {
  engine: Promise<Engine>;
  lost(reason: TandemError): void;
} {
  const waiting = new Map<number, Deferred<unknown>>();
  const ready = new Deferred<Engine>();
  let nextId = 0;
  let gone: TandemError | undefined;

  const call = <Result>(method: Method, argument?: unknown): Promise<Result> => {
    if (gone) return Promise.reject(gone);
    const id = nextId++;
    const deferred = new Deferred<unknown>();
    waiting.set(id, deferred);
    port.post({ id, method, argument } satisfies Request);
    return deferred.promise as Promise<Result>;
  };

  port.listen((message) => {
    const reply = message as Answer;
    if ('ready' in reply) {
      ready.resolve({
        info: reply.ready,
        open: (session) => call('open', session),
        step: (request) => call('step', request),
        stepTogether: async (requests) => (await call<WireOutcome[]>('stepTogether', requests)).map(fromWire),
        dropBatches: () => call('dropBatches'),
        copy: (request) => call('copy', request),
        close: (session) => call('close', session),
        dispose: () => call('dispose'),
      });
    } else if ('failed' in reply) {
      ready.reject(fromWireError(reply.failed));
    } else {
      const deferred = waiting.get(reply.id);
      waiting.delete(reply.id);
      if ('error' in reply) deferred?.reject(fromWireError(reply.error));
      else deferred?.resolve(reply.result);
    }
  });

  return {
    engine: ready.promise,
    lost(reason) {
      gone = reason;
      ready.reject(reason);
      for (const deferred of waiting.values()) deferred.reject(reason);
      waiting.clear();
    },
  };
}

class Deferred<Value> {
  resolve!: (value: Value) => void;
  reject!: (error: unknown) => void;
  readonly promise = new Promise<Value>((resolve, reject) => {
    this.resolve = resolve;
    this.reject = reject;
  });
}

export function toWireError(error: unknown): WireError {
  if (error instanceof TandemError) return { code: error.code, message: error.message };
  return { code: 'ENGINE_FAILED', message: error instanceof Error ? error.message : String(error) };
}

export function fromWireError({ code, message }: WireError): TandemError {
  // The message already starts with its code when it was a TandemError.
  return new TandemError(code, message.startsWith(`${code}: `) ? message.slice(code.length + 2) : message);
}
