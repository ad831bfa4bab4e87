import { type Clock, GREEDY, limits, rowCodec } from '@tandem/shared';
import type { StepRunner } from './scheduler/step-runner.js';

export type ReadyState = { isReady: true; stepMs: number } | { isReady: false; reason: string };

/**
 * Whether a step would work now, found out by running one: a row of zeros through the stages behind the cut, in the
 * queue with everybody else. An answer is good for READY_CACHE_MS; whoever asks in between gets the same one.
 */
export class Readiness {
  readonly #scheduler: StepRunner;
  readonly #clock: Clock;
  #probe: Promise<ReadyState> | undefined;
  #startedAtMs = Number.NEGATIVE_INFINITY;
  #probes = 0;

  constructor(scheduler: StepRunner, clock: Clock) {
    this.#scheduler = scheduler;
    this.#clock = clock;
  }

  check(): Promise<ReadyState> {
    if (!this.#probe || this.#clock.now() - this.#startedAtMs > limits.READY_CACHE_MS) {
      this.#startedAtMs = this.#clock.now();
      this.#probe = this.#limited();
    }
    return this.#probe;
  }

  async #limited(): Promise<ReadyState> {
    const timeout = new AbortController();
    const cancelTimer = this.#clock.schedule(limits.READY_TIMEOUT_MS, () => timeout.abort());
    const tooLate = new Promise<ReadyState>((resolve) => {
      const reason = `no step within ${limits.READY_TIMEOUT_MS} ms`;
      timeout.signal.addEventListener('abort', () => resolve({ isReady: false, reason }), { once: true });
    });
    const state = await Promise.race([this.#step(timeout.signal), tooLate]);
    cancelTimer();
    return state;
  }

  async #step(signal: AbortSignal): Promise<ReadyState> {
    const { info, isAvailable } = this.#scheduler;
    if (!isAvailable) return { isReady: false, reason: 'the engine does not start' };
    const session = `probe-${++this.#probes}`;
    const stages = { firstStage: info.deviceStages, endStage: info.stages };
    const startedMs = this.#clock.now();
    const opened = await this.#scheduler.open({ session, ...stages, capacity: 1, codec: 'f32' }, signal);
    if (opened.kind !== 'done') return notReady(opened);
    const bytes = new Uint8Array(rowCodec('f32').bytesPerRow(info.width));
    const request = {
      session,
      from: 0,
      input: { kind: 'encoded-rows' as const, bytes },
      depth: info.stages - info.deviceStages,
      want: [0],
      drafts: [],
      sampling: GREEDY,
    };
    const outcome = await this.#scheduler.step(request, opened.value, signal);
    void this.#scheduler.close(session, opened.value);
    return outcome.kind === 'done' ? { isReady: true, stepMs: this.#clock.now() - startedMs } : notReady(outcome);
  }
}

function notReady(outcome: { kind: 'cancelled' } | { kind: 'failed'; error: Error }): ReadyState {
  return { isReady: false, reason: outcome.kind === 'failed' ? outcome.error.message : 'gave up waiting' };
}
