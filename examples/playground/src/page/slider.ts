import { create } from './elements.js';

export interface SliderOptions {
  id: string;
  label: string;
  min: number;
  max: number;
  step: number;
  value: number;
  /** How a value is shown, and read out. */
  format(value: number): string;
  onInput?(): void;
}

/** A labelled range with its value beside it. */
export class Slider {
  readonly element: HTMLElement;
  readonly #input: HTMLInputElement;
  readonly #output: HTMLOutputElement;
  readonly #format: (value: number) => string;

  constructor({ id, label, min, max, step, value, format, onInput }: SliderOptions) {
    this.#format = format;
    this.#input = create('input', { type: 'range', id, min: `${min}`, max: `${max}`, step: `${step}` });
    this.#output = create('output');
    this.#output.htmlFor.add(id);
    this.element = create(
      'div',
      { className: 'slider' },
      create('label', { htmlFor: id }, label),
      this.#output,
      this.#input,
    );
    this.#input.addEventListener('input', () => {
      this.#show();
      onInput?.();
    });
    this.value = value;
  }

  get value(): number {
    return this.#input.valueAsNumber;
  }

  set value(value: number) {
    this.#input.valueAsNumber = value;
    this.#show();
  }

  set disabled(isDisabled: boolean) {
    this.#input.disabled = isDisabled;
  }

  #show(): void {
    const text = this.#format(this.value);
    this.#output.value = text;
    this.#input.setAttribute('aria-valuetext', text);
  }
}
