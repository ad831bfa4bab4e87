import {
  type CopyRequest,
  type Engine,
  type EngineInfo,
  type EngineSession,
  GREEDY,
  rowCodec,
  type StepRequest,
  type StepResult,
  TandemError,
} from '@tandem/shared';

/**
 * An engine on a GPU, whose steps may fail for want of memory there, or because the GPU is lost. Errors of drivers do not
 * tell one from the other; another step does: where a row of a new, smallest session runs, the device lives, and the step was too
 * much for its memory. That is told as SERVER_BUSY, and the session is as it was. A device that is lost never comes back in this process,
 * so `onLost` is called, and the process had better end: its supervisor starts another, and sessions go on from their rows.
 */
export class DeviceEngine implements Engine {
  readonly #engine: Engine;
  readonly #onLost: (error: unknown) => void;

  constructor(engine: Engine, onLost: (error: unknown) => void) {
    this.#engine = engine;
    this.#onLost = onLost;
  }

  get info(): EngineInfo {
    return this.#engine.info;
  }

  open(session: EngineSession): Promise<void> {
    return this.#engine.open(session);
  }

  async step(request: StepRequest): Promise<StepResult> {
    try {
      return await this.#engine.step(request);
    } catch (error) {
      if (!isOfRuntime(error)) throw error;
      if (await this.#isAlive()) throw noMemory(error);
      this.#onLost(error);
      throw error;
    }
  }

  async copy(request: CopyRequest): Promise<number> {
    return (await this.#engine.copy?.(request)) ?? 0;
  }

  close(session: string): Promise<void> {
    return this.#engine.close(session);
  }

  dispose(): Promise<void> {
    return this.#engine.dispose();
  }

  async #isAlive(): Promise<boolean> {
    const { deviceStages, stages, width } = this.info;
    const session = 'is-the-device-alive';
    try {
      await this.#engine.open({ session, firstStage: deviceStages, endStage: stages, capacity: 1, codec: 'f32' });
      const input = { kind: 'encoded-rows' as const, bytes: new Uint8Array(rowCodec('f32').bytesPerRow(width)) };
      const depth = stages - deviceStages;
      await this.#engine.step({ session, from: 0, input, depth, want: [], drafts: [], sampling: GREEDY });
      return true;
    } catch {
      return false;
    } finally {
      await this.#engine.close(session);
    }
  }
}

/** What the runtime threw comes as the cause; errors of ours, such as of a session that is not open, have none. */
function isOfRuntime(error: unknown): error is TandemError {
  return error instanceof TandemError && error.code === 'ENGINE_FAILED' && error.cause !== undefined;
}

function noMemory(cause: TandemError): TandemError {
  const message = 'the GPU has no memory for this step; try again later, on another server or with a smaller capacity';
  return new TandemError('SERVER_BUSY', message, { cause });
}
