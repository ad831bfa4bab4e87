import type { SessionEvent } from '@tandem/edge';
import type { Clock } from '@tandem/shared';
import { element } from './elements.js';
import { className } from './story-view.js';
import { type ForwardSpan, TimelineRecord } from './timeline-record.js';

const LANES = ['device', 'wire', 'cloud', 'settled'] as const;
const LABEL_WIDTH = 58;
const AXIS_HEIGHT = 18;
/** While a story is told this much of it is in view; then all of it. */
const WINDOW_MS = 4_000;
const TICK_MS = [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000];

/** Draws a TimelineRecord: one lane for each place, time from left to right. */
export class Timeline {
  readonly #canvas = element<HTMLCanvasElement>('timeline');
  readonly #caption = element('timeline-text');
  /** How to read the drawing; a story that was told has words of its own. */
  readonly #key = this.#caption.textContent;
  readonly #clock: Clock;
  #record = new TimelineRecord();
  #startMs = 0;
  #endMs: number | undefined = 0;
  #pointed: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    new ResizeObserver(() => this.draw()).observe(this.#canvas);
  }

  begin(): void {
    this.#record = new TimelineRecord();
    this.#pointed = undefined;
    this.#caption.textContent = this.#key;
    this.#startMs = this.#clock.now();
    this.#endMs = undefined;
    const frame = () => {
      this.draw();
      if (this.#endMs === undefined) requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  event(event: SessionEvent): void {
    this.#record.add(event, this.#clock.now() - this.#startMs);
  }

  end(): void {
    this.#endMs = this.#clock.now() - this.#startMs;
    this.#caption.textContent = this.#record.describe();
    this.draw();
  }

  /** One token's way, from its draft to the moment at which it was settled. */
  point(position: number | undefined): void {
    this.#pointed = position;
    if (this.#endMs !== 0) {
      this.#caption.textContent =
        position === undefined ? this.#record.describe() : this.#record.describeToken(position);
    }
    this.draw();
  }

  draw(): void {
    const scale = devicePixelRatio;
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    this.#canvas.width = Math.round(width * scale);
    this.#canvas.height = Math.round(height * scale);
    const context = this.#canvas.getContext('2d');
    if (!context || width === 0) return;
    context.scale(scale, scale);
    const nowMs = this.#endMs ?? this.#clock.now() - this.#startMs;
    const toMs = Math.max(nowMs, 500);
    const fromMs = this.#endMs === undefined ? Math.max(0, toMs - WINDOW_MS) : 0;
    const pointed = this.#pointed === undefined ? undefined : this.#record.spanOf(this.#pointed);
    new Drawing(context, { width, height, fromMs, toMs }, this.#canvas).record(this.#record, pointed);
  }
}

interface View {
  width: number;
  height: number;
  fromMs: number;
  toMs: number;
}

class Drawing {
  readonly #context: CanvasRenderingContext2D;
  readonly #view: View;
  readonly #style: CSSStyleDeclaration;
  readonly #laneHeight: number;

  constructor(context: CanvasRenderingContext2D, view: View, canvas: Element) {
    this.#context = context;
    this.#view = view;
    this.#style = getComputedStyle(canvas);
    this.#laneHeight = (view.height - AXIS_HEIGHT) / LANES.length;
  }

  record(
    { drafts, forwards, settled, rollBacks, steps }: TimelineRecord,
    pointed: ReturnType<TimelineRecord['spanOf']>,
  ): void {
    this.#frame();
    if (pointed) this.#band(pointed);
    const context = this.#context;
    context.save();
    context.beginPath();
    context.rect(LABEL_WIDTH, 0, this.#view.width - LABEL_WIDTH, this.#view.height);
    context.clip();
    for (const { atMs, stage, isBranch } of drafts) {
      // A second continuation, in case the first is wrong.
      if (isBranch) this.#tick(0, atMs, 'muted', 0.25);
      else this.#tick(0, atMs, `exit${Math.min(stage, 2)}`, 0.55);
    }
    for (const span of forwards) this.#forward(span);
    for (const { endMs, engineMs } of steps) this.#bar(2, endMs - engineMs, endMs, this.#colour('cloud'), 0.5);
    for (const { atMs, origin } of settled) this.#tick(3, atMs, className(origin), 0.8);
    for (const atMs of rollBacks) this.#line(atMs);
    context.restore();
  }

  #frame(): void {
    const context = this.#context;
    const { width, height, fromMs, toMs } = this.#view;
    context.font = `12px ${this.#style.fontFamily}`;
    context.textBaseline = 'middle';
    for (const [lane, name] of LANES.entries()) {
      const y = (lane + 0.5) * this.#laneHeight;
      context.fillStyle = this.#colour('line');
      context.fillRect(LABEL_WIDTH, y, width - LABEL_WIDTH, 1);
      context.fillStyle = this.#colour('muted');
      context.fillText(name, 0, y);
    }
    const step = TICK_MS.find((candidate) => (toMs - fromMs) / candidate <= 8) ?? 60_000;
    context.textAlign = 'center';
    for (let atMs = Math.ceil(fromMs / step) * step; atMs <= toMs; atMs += step) {
      const x = Math.min(this.#x(atMs), width - 16);
      context.fillText(step < 1_000 ? `${atMs}` : `${atMs / 1000} s`, Math.max(x, LABEL_WIDTH + 8), height - 7);
    }
    context.textAlign = 'start';
  }

  #forward({ sentMs, endMs, engineMs, outcome }: ForwardSpan): void {
    const end = endMs ?? this.#view.toMs;
    const colour = outcome === 'mismatch' || outcome === 'lost' ? 'red' : outcome === 'overtaken' ? 'muted' : 'accent';
    this.#bar(1, sentMs, end, this.#colour(colour), outcome === 'waiting' || outcome === 'overtaken' ? 0.18 : 0.35);
    if (engineMs === 0) return;
    // Neither clock knows when the frame arrived: the middle of the round trip is the fair guess.
    const start = sentMs + (end - sentMs - engineMs) / 2;
    this.#bar(2, start, start + engineMs, this.#colour('cloud'), 0.9);
  }

  #bar(lane: number, fromMs: number, toMs: number, colour: string, alpha: number): void {
    const context = this.#context;
    const x = this.#x(fromMs);
    const height = this.#laneHeight * 0.42;
    context.globalAlpha = alpha;
    context.fillStyle = colour;
    context.beginPath();
    const y = (lane + 0.5) * this.#laneHeight - height / 2;
    context.roundRect(x, y, Math.max(2, this.#x(toMs) - x), height, 3);
    context.fill();
    context.globalAlpha = 1;
  }

  #tick(lane: number, atMs: number, colour: string, size: number): void {
    const height = this.#laneHeight * size;
    this.#context.fillStyle = this.#colour(colour);
    this.#context.fillRect(this.#x(atMs) - 1, (lane + 0.5) * this.#laneHeight - height / 2, 2, height);
  }

  #band({ fromMs, toMs }: { fromMs: number; toMs: number }): void {
    const x = Math.max(LABEL_WIDTH, this.#x(fromMs) - 2);
    this.#context.globalAlpha = 0.22;
    this.#context.fillStyle = this.#colour('accent');
    this.#context.fillRect(x, 0, Math.max(4, this.#x(toMs) + 2 - x), this.#view.height - AXIS_HEIGHT);
    this.#context.globalAlpha = 1;
  }

  #line(atMs: number): void {
    this.#context.fillStyle = this.#colour('red');
    this.#context.globalAlpha = 0.6;
    this.#context.fillRect(this.#x(atMs), 2, 1, this.#view.height - AXIS_HEIGHT - 4);
    this.#context.globalAlpha = 1;
  }

  #x(atMs: number): number {
    const { width, fromMs, toMs } = this.#view;
    return LABEL_WIDTH + ((atMs - fromMs) / (toMs - fromMs)) * (width - LABEL_WIDTH - 2);
  }

  #colour(name: string): string {
    return this.#style.getPropertyValue(`--timeline-${name}`);
  }
}
