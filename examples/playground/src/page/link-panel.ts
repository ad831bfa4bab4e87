import { type LinkProfile, parseTrace, presets, type SimulatedLink, type TraceStep } from '@tandem/netsim';
import type { Clock } from '@tandem/shared';
import { create, element } from './elements.js';
import { Slider } from './slider.js';
import { TraceView } from './trace-view.js';
import { averageOf, trainRide } from './traces.js';

export interface LinkFigures {
  rttMs: number;
  jitterMs: number;
  upBytesPerS: number;
  downBytesPerS: number;
}

const CUSTOM = 'as set below';
const TRAIN = 'train (made up)';
const FILE = 'a recording…';
const START = '4g';

/** Rates from 30 kbit/s to 100 Mbit/s, on a scale of powers of ten. */
const RATE = { min: 4.5, max: 8, step: 0.05 };

/** Presets, traces, sliders, the cut button and the offline switch; what is changed here changes the links in use at once. */
export class LinkPanel {
  readonly #preset = element<HTMLSelectElement>('preset');
  readonly #offline = element<HTMLInputElement>('offline');
  readonly #file = element<HTMLInputElement>('trace-file');
  readonly #traceView: TraceView;
  #recording: { name: string; trace: TraceStep[] } | undefined;
  readonly #rtt: Slider;
  readonly #jitter: Slider;
  readonly #up: Slider;
  readonly #down: Slider;
  readonly #links = new Set<SimulatedLink>();
  readonly #changed: () => void;

  constructor(clock: Clock, changed: () => void) {
    this.#changed = changed;
    this.#traceView = new TraceView(clock);
    const onInput = () => {
      this.#preset.value = CUSTOM;
      this.#apply();
    };
    const ms = (value: number) => `${value} ms`;
    this.#rtt = new Slider({
      id: 'rtt',
      label: 'Round trip',
      min: 0,
      max: 1000,
      step: 2,
      value: 0,
      format: ms,
      onInput,
    });
    this.#jitter = new Slider({
      id: 'jitter',
      label: 'Jitter',
      min: 0,
      max: 200,
      step: 1,
      value: 0,
      format: ms,
      onInput,
    });
    const rate = { ...RATE, value: RATE.max, format: formatRate, onInput };
    this.#up = new Slider({ id: 'up', label: 'Up', ...rate });
    this.#down = new Slider({ id: 'down', label: 'Down', ...rate });
    const sliders = [this.#rtt, this.#jitter, this.#up, this.#down];
    element('link-sliders').append(...sliders.map((slider) => slider.element));
    const names = Object.keys(presets).filter((name) => name !== 'offline');
    for (const name of [...names, TRAIN, FILE, CUSTOM]) this.#preset.append(create('option', {}, name));
    this.#preset.value = START;
    this.#fill();
    this.#preset.addEventListener('change', () => {
      this.#fill();
      this.#apply();
    });
    this.#offline.addEventListener('change', () => {
      this.#apply();
      // As a real device does when its network is back; the SDK listens.
      if (!this.#offline.checked) dispatchEvent(new Event('online'));
    });
    this.#file.addEventListener('change', () => void this.#read());
    element('cut').addEventListener('click', () => this.#links.forEach((link) => void link.cut()));
  }

  /** A preset's own figures: the sliders round them. Of a trace, its average. */
  get figures(): LinkFigures {
    const trace = this.#trace;
    return trace ? averageOf(trace, this.#ownFigures) : this.#ownFigures;
  }

  get #ownFigures(): LinkFigures {
    const preset = presets[this.#preset.value];
    return {
      rttMs: preset?.rttMs ?? this.#rtt.value,
      jitterMs: preset?.jitterMs ?? this.#jitter.value,
      upBytesPerS: preset?.upBytesPerS ?? bytesPerS(this.#up),
      downBytesPerS: preset?.downBytesPerS ?? bytesPerS(this.#down),
    };
  }

  /** Name of the preset, for the note above a story. */
  get name(): string {
    if (this.#preset.value === FILE) return this.#recording?.name ?? 'no recording';
    return this.#preset.value === CUSTOM ? `${this.#rtt.value} ms` : this.#preset.value;
  }

  get profile(): LinkProfile {
    const { randomStalls } = presets[this.#preset.value] ?? {};
    const trace = this.#trace;
    return {
      ...this.#ownFigures,
      ...(randomStalls ? { randomStalls } : {}),
      ...(trace ? { trace } : {}),
      offline: this.#offline.checked,
    };
  }

  /** The link obeys the panel until the returned function is called. */
  attach(link: SimulatedLink): () => void {
    this.#links.add(link);
    this.#traceView.begin();
    return () => {
      this.#links.delete(link);
      this.#traceView.end();
    };
  }

  get #trace(): TraceStep[] | undefined {
    if (this.#preset.value === TRAIN) return trainRide();
    return this.#preset.value === FILE ? this.#recording?.trace : undefined;
  }

  /** A recording that cannot be read is told where recordings are told of. */
  async #read(): Promise<void> {
    const file = this.#file.files?.[0];
    if (!file) return;
    const note = element('trace-file-note');
    try {
      this.#recording = { name: file.name, trace: parseTrace(await file.text()) };
      note.textContent = '';
    } catch (error) {
      this.#recording = undefined;
      note.textContent = (error as Error).message;
    }
    this.#fill();
    this.#apply();
  }

  /** The preset's figures into the sliders; a trace is drawn instead of them. */
  #fill(): void {
    const trace = this.#trace;
    this.#traceView.show(trace, this.name);
    element('trace-file-row').hidden = this.#preset.value !== FILE;
    element('link-sliders').hidden = trace !== undefined;
    const preset = presets[this.#preset.value];
    if (!preset) return;
    this.#rtt.value = preset.rttMs ?? 0;
    this.#jitter.value = preset.jitterMs ?? 0;
    this.#up.value = Math.log10((preset.upBytesPerS ?? Infinity) * 8);
    this.#down.value = Math.log10((preset.downBytesPerS ?? Infinity) * 8);
  }

  #apply(): void {
    for (const link of this.#links) link.setProfile(this.profile);
    this.#changed();
  }
}

function bytesPerS(slider: Slider): number {
  return 10 ** slider.value / 8;
}

function formatRate(exponent: number): string {
  const kbit = 10 ** exponent / 1000;
  return kbit < 1000 ? `${Number(kbit.toPrecision(2))} kbit/s` : `${Number((kbit / 1000).toPrecision(2))} Mbit/s`;
}
