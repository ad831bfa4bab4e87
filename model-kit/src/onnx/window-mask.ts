import { WINDOW_POSITIONS } from '@tandem/shared';
import type { GraphBuilder } from './graph-builder.js';

/** Names of four int64 (1). */
export interface WindowBounds {
  start: string;
  past: string;
  newEnd: string;
  end: string;
}

/** Adds the masks of layers that do not see all positions: made in the graph, so that whoever feeds it need not know of them. */
export class WindowMasks {
  readonly #graph: GraphBuilder;
  readonly #bounds: WindowBounds;
  /** Of this run's rows `(n, 1, 1)` and of the columns of `mask` `(C + 64)`. */
  #positions: { rows: string; columns: string } | undefined;
  readonly #made = new Map<number, string>();

  constructor(graph: GraphBuilder, bounds: WindowBounds) {
    this.#graph = graph;
    this.#bounds = bounds;
  }

  /** The mask for rows that see `window` positions, themselves included: `mask`, and -infinity on all that is farther away. */
  of(window: number | null, contextLength: number): string {
    if (window === null || window >= contextLength) return 'mask';
    const known = this.#made.get(window);
    if (known !== undefined) return known;
    this.#positions ??= this.#addPositions();
    const reach = this.#graph.node('Add', [this.#positions.columns, this.#graph.ints([window])]);
    const sees = this.#graph.node('Greater', [reach, this.#positions.rows]);
    const mask = this.#graph.node('Where', [sees, 'mask', this.#graph.float(-Infinity)]);
    this.#made.set(window, mask);
    return mask;
  }

  /** Columns of the frozen part stand for their own number, those behind it for positions from the window's start on. */
  #addPositions(): { rows: string; columns: string } {
    const graph = this.#graph;
    const { start, past, newEnd } = this.#bounds;
    const rows = graph.node('Reshape', [graph.range(past, newEnd), graph.ints([-1, 1, 1])]);
    const count = graph.node('Shape', ['mask'], { attributes: { start: 2 } });
    const capacity = graph.node('Sub', [count, graph.ints([WINDOW_POSITIONS])]);
    const numbers = graph.range(graph.ints([0]), count);
    const inWindow = graph.node('Add', [graph.node('Sub', [numbers, capacity]), start]);
    const isFrozen = graph.node('Less', [numbers, capacity]);
    return { rows, columns: graph.node('Where', [isFrozen, numbers, inWindow]) };
  }
}
