import {
  type CopyRequest,
  type Engine,
  type EngineSession,
  type StepRequest,
  type StepResult,
  TandemError,
} from '@tandem/shared';
import { SessionRecord } from './session-record.js';

/**
 * An engine that may be lost, as a GPU is: another one takes its place, once, and every session goes on there from its tokens. What
 * the first one handed out stays as it is: the ledger keeps its rows as bytes.
 */
export class RecoveringEngine implements Engine {
  readonly info: Engine['info'];
  readonly #replace: (cause: TandemError) => Promise<Engine>;
  readonly #records = new Map<string, SessionRecord>();
  #engine: Engine;
  /** From the moment of the loss; sessions that are not open there yet are opened by their next request. */
  #replacement: { engine: Promise<Engine>; opened: Map<string, Promise<void>> } | undefined;

  /** `replace` is told why. */
  constructor(engine: Engine, replace: (cause: TandemError) => Promise<Engine>) {
    this.#engine = engine;
    this.#replace = replace;
    this.info = engine.info;
  }

  async open(options: EngineSession): Promise<void> {
    const record = new SessionRecord(options);
    this.#replacement?.opened.delete(options.session);
    await this.#do(record, (engine) => (this.#replacement ? Promise.resolve() : engine.open(options)));
    this.#records.set(options.session, record);
  }

  async step(request: StepRequest): Promise<StepResult> {
    const record = this.#records.get(request.session);
    if (!record) return await this.#engine.step(request);
    const result = await this.#do(record, (engine) => engine.step(request));
    record.note(request, result);
    return result;
  }

  async copy(request: CopyRequest): Promise<number> {
    const [source, target] = [this.#records.get(request.source), this.#records.get(request.target)];
    // Lost or not: who cannot copy runs the rows again.
    if (!source || !target || this.#replacement) return 0;
    const length = await this.#do(target, async (engine) =>
      this.#replacement ? 0 : ((await engine.copy?.(request)) ?? 0),
    );
    if (length > 0) target.noteCopy(source, { length });
    return length;
  }

  async close(session: string): Promise<void> {
    this.#records.delete(session);
    this.#replacement?.opened.delete(session);
    await this.#engine.close(session).catch(ignoreLoss);
  }

  async dispose(): Promise<void> {
    this.#records.clear();
    await this.#engine.dispose().catch(ignoreLoss);
  }

  async #do<Result>(record: SessionRecord, action: (engine: Engine) => Promise<Result>): Promise<Result> {
    if (!this.#replacement) {
      try {
        return await action(this.#engine);
      } catch (error) {
        // Once it is given up, whatever it says is nothing but that.
        if (!this.#replacement && !isLoss(error)) throw error;
        this.#replacement ??= { engine: this.#takeOver(error as TandemError), opened: new Map() };
      }
    }
    const { engine, opened } = this.#replacement;
    const { session } = record.options;
    if (!opened.has(session))
      opened.set(
        session,
        engine.then((next) => rebuild(next, record)),
      );
    await opened.get(session);
    return await action(await engine);
  }

  async #takeOver(cause: TandemError): Promise<Engine> {
    const lost = this.#engine;
    this.#engine = await this.#replace(cause);
    await lost.dispose().catch(ignoreLoss);
    return this.#engine;
  }
}

async function rebuild(engine: Engine, record: SessionRecord): Promise<void> {
  await engine.open(record.options);
  for (const step of record.steps()) await engine.step(step);
}

/** What cannot be told apart from outside: a GPU that is gone, one that has no memory left, a worker that broke. */
function isLoss(error: unknown): error is TandemError {
  return error instanceof TandemError && error.code === 'ENGINE_FAILED';
}

function ignoreLoss(error: unknown): void {
  if (!(error instanceof TandemError)) throw error;
}
