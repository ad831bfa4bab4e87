import type { GenerationResult, SessionEvent } from '@tandem/edge';
import { create, element } from './elements.js';
import type { LinkFigures } from './link-panel.js';
import type { Mode, StorySettings } from './mode-panel.js';
import { type Cost, collaborativeCost, costOf, predictedMsPerToken } from './prediction.js';

const MODES: readonly Mode[] = ['exact', 'collaborative', 'device-only', 'cloud-only'];

/** What a token would cost in each mode on the link as it is set, from the stories that were told. */
export class CostPanel {
  readonly #told: Partial<Record<Mode, Cost>> = {};
  /** How sure the deepest exit was, by position, in the last story that was drafted. */
  #confidences = new Map<number, number>();

  /** Of the same story: more than one, because some were wrong. */
  #draftsPerToken = 1;
  #drafts = 0;

  begin(): void {
    this.#confidences = new Map();
    this.#drafts = 0;
  }

  event(event: SessionEvent): void {
    if (event.kind !== 'draft') return;
    this.#drafts++;
    if (!event.isBranch) this.#confidences.set(event.position, event.maxProbability);
  }

  end(mode: Mode, result: GenerationResult): void {
    const cost = costOf(result);
    if (!cost) return;
    this.#told[mode] = cost;
    if (mode !== 'cloud-only') this.#draftsPerToken = Math.max(1, this.#drafts / result.tokens.length);
  }

  show({ mode, threshold }: StorySettings, link: LinkFigures): void {
    const costs = MODES.flatMap((name) => {
      const cost = this.#costOf(name, threshold);
      return cost ? [{ name, ms: predictedMsPerToken(cost, link) }] : [];
    });
    element('prediction').textContent =
      costs.length === 0
        ? 'Tell a story, and this says what a token would cost here in every mode.'
        : 'Milliseconds per token if nothing overlapped, from the stories told so far.';
    const most = Math.max(...costs.map(({ ms }) => ms), 1);
    element('costs').replaceChildren(
      ...costs.map(({ name, ms }) => {
        const bar = create('meter', { min: 0, max: most, value: ms, ariaLabel: `${name}, of the dearest` });
        const value = create('dd', {}, `${Math.round(ms)} ms`, bar);
        return create('div', { className: name === mode ? 'chosen' : '' }, create('dt', {}, name), value);
      }),
    );
  }

  #costOf(mode: Mode, threshold: number): Cost | undefined {
    const drafted = this.#told.exact ?? this.#told.collaborative;
    if (mode === 'collaborative' && drafted && this.#confidences.size > 0) {
      return collaborativeCost(drafted, [...this.#confidences.values()], threshold);
    }
    if (mode === 'device-only' && drafted && !this.#told[mode]) {
      const deviceMs = drafted.deviceMs / this.#draftsPerToken;
      return { deviceMs, cloudMs: 0, roundTrips: 0, bytesUp: 0, bytesDown: 0 };
    }
    return this.#told[mode];
  }
}
