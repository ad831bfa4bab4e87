import type { TraceStep } from '@tandem/netsim';
import type { Clock } from '@tandem/shared';
import { element } from './elements.js';

/** A trace drawn small: how much passes over time, and, while it is in use, where it is. */
export class TraceView {
  readonly #canvas = element<HTMLCanvasElement>('trace');
  readonly #caption = element('trace-text');
  readonly #clock: Clock;
  #trace: readonly TraceStep[] = [];
  #startMs: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    new ResizeObserver(() => this.draw()).observe(this.#canvas);
  }

  show(trace: readonly TraceStep[] | undefined, name: string): void {
    this.#trace = trace ?? [];
    element('trace-card').hidden = !trace;
    if (!trace) return;
    const rates = trace.map(rateOf);
    const kbit = (bytesPerS: number) => Math.round((bytesPerS * 8) / 1000).toLocaleString('en');
    const seconds = Math.round(durationOf(trace) / 1000);
    this.#caption.textContent = `${name}: ${seconds} s, ${kbit(Math.min(...rates))} to ${kbit(Math.max(...rates))} kbit/s; then from the start`;
    this.draw();
  }

  /** The link's trace runs from its first connection on. */
  begin(): void {
    this.#startMs = this.#clock.now();
    const frame = () => {
      if (this.#startMs === undefined) return;
      this.draw();
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  end(): void {
    this.#startMs = undefined;
    this.draw();
  }

  draw(): void {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const context = this.#canvas.getContext('2d');
    if (!context || width === 0 || this.#trace.length === 0) return;
    this.#canvas.width = Math.round(width * devicePixelRatio);
    this.#canvas.height = Math.round(height * devicePixelRatio);
    context.scale(devicePixelRatio, devicePixelRatio);
    const style = getComputedStyle(this.#canvas);
    const durationMs = durationOf(this.#trace);
    const x = (ms: number) => (ms / durationMs) * width;
    const rates = this.#trace.map(rateOf);
    const most = Math.max(...rates, 1);
    context.beginPath();
    context.moveTo(0, height);
    for (const [index, { atMs }] of this.#trace.entries()) {
      const y = height - 2 - (rates[index]! / most) * (height - 4);
      context.lineTo(x(atMs), y);
      context.lineTo(x(this.#trace[index + 1]?.atMs ?? durationMs), y);
    }
    context.lineTo(width, height);
    context.fillStyle = style.getPropertyValue('--timeline-accent');
    context.globalAlpha = 0.35;
    context.fill();
    context.globalAlpha = 1;
    if (this.#startMs === undefined) return;
    context.fillStyle = style.getPropertyValue('--timeline-red');
    context.fillRect(x((this.#clock.now() - this.#startMs) % durationMs) - 1, 0, 2, height);
  }
}

function rateOf({ downBytesPerS, upBytesPerS }: TraceStep): number {
  return downBytesPerS ?? upBytesPerS ?? 0;
}

/** The last step lasts as long as the one before. */
function durationOf(trace: readonly TraceStep[]): number {
  const last = trace.at(-1)!.atMs;
  return last + (last - (trace.at(-2)?.atMs ?? 0) || 1_000);
}
