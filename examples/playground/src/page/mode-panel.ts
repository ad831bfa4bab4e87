import type { SessionOptions } from '@tandem/edge';
import { element } from './elements.js';
import { Slider } from './slider.js';

export type Mode = NonNullable<SessionOptions['mode']>;

export interface StorySettings {
  mode: Mode;
  threshold: number;
  draftLength: number;
  temperature: number;
  maxOutputTokens: number;
  seed: number;
}

/** The SDK's own limit and default: its controller decides how many of them pay. */
const DRAFTS_MAX = 32;

/** Who settles a token, and how the story is drawn. */
export class ModePanel {
  readonly #threshold: Slider;
  readonly #draftLength: Slider;
  readonly #temperature: Slider;
  readonly #length: Slider;
  readonly #seed: Slider;

  constructor(changed: () => void) {
    const plain = (value: number) => `${value}`;
    const percent = (value: number) => `${Math.round(value * 100)} %`;
    this.#threshold = new Slider({
      id: 'threshold',
      label: 'Sure from',
      min: 0,
      max: 1,
      step: 0.01,
      value: 0.6,
      format: percent,
      onInput: changed,
    });
    this.#draftLength = new Slider({
      id: 'draft-length',
      label: 'Drafts ahead',
      min: 0,
      max: DRAFTS_MAX,
      step: 1,
      value: DRAFTS_MAX,
      format: (value) => (value === DRAFTS_MAX ? 'as many as pay' : `at most ${value}`),
    });
    this.#temperature = new Slider({
      id: 'temperature',
      label: 'Temperature',
      min: 0,
      max: 1.5,
      step: 0.1,
      value: 0.8,
      format: plain,
    });
    this.#length = new Slider({ id: 'length', label: 'Tokens', min: 16, max: 256, step: 16, value: 96, format: plain });
    this.#seed = new Slider({ id: 'seed', label: 'Seed', min: 1, max: 99, step: 1, value: 7, format: plain });
    const sliders = [this.#threshold, this.#draftLength, this.#temperature, this.#length, this.#seed];
    element('mode-sliders').append(...sliders.map((slider) => slider.element));
    element('mode').addEventListener('change', () => {
      this.#enable();
      changed();
    });
    this.#enable();
  }

  get settings(): StorySettings {
    return {
      mode: this.#mode,
      threshold: this.#threshold.value,
      draftLength: this.#draftLength.value,
      temperature: this.#temperature.value,
      maxOutputTokens: this.#length.value,
      seed: this.#seed.value,
    };
  }

  get #mode(): Mode {
    return document.querySelector<HTMLInputElement>('input[name=mode]:checked')!.value as Mode;
  }

  #enable(): void {
    this.#threshold.disabled = this.#mode !== 'collaborative';
    this.#draftLength.disabled = this.#mode !== 'exact' && this.#mode !== 'collaborative';
  }
}
