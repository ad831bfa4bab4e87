import type { ColumnName, Columns, LiveHistory } from '../../src/dashboard/live-figures.js';

/** What the page knows of the server: the columns that it was told so far, as long as the server keeps them. */
export class History {
  readonly #samplesMax: number;
  #columns: Columns | undefined;
  #startedUnixMs = 0;
  #next = 0;
  budgetBytes = 0;

  constructor(samplesMax: number) {
    this.#samplesMax = samplesMax;
  }

  /** Number of the sample to ask for next. */
  get next(): number {
    return this.#next;
  }

  get startedUnixMs(): number {
    return this.#startedUnixMs;
  }

  /** False: this does not follow what is known (another process, or the page slept); everything has to be asked for anew. */
  add(news: LiveHistory): boolean {
    const isSameServer = this.#next === 0 || news.startedUnixMs === this.#startedUnixMs;
    if (this.#next > 0 && (!isSameServer || news.first !== this.#next)) {
      this.#columns = undefined;
      this.#next = 0;
      return false;
    }
    this.#startedUnixMs = news.startedUnixMs;
    this.budgetBytes = news.budgetBytes;
    const names = Object.keys(news.columns) as ColumnName[];
    const joined = names.map((name) => {
      const column = [...(this.#columns?.[name] ?? []), ...news.columns[name]];
      return [name, column.slice(-this.#samplesMax)];
    });
    this.#columns = Object.fromEntries(joined) as Columns;
    this.#next = news.first + news.columns.unixMs.length;
    return true;
  }

  /** The last so many values. */
  column(name: ColumnName, count = this.#samplesMax): (number | null)[] {
    return this.#columns?.[name].slice(-count) ?? [];
  }

  last(name: ColumnName): number | null {
    return this.#columns?.[name].at(-1) ?? null;
  }

  /** Mean of what was measured in the last so many seconds. */
  mean(name: ColumnName, count: number): number {
    const values = this.column(name, count).filter((value) => value !== null);
    return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
  }

  /** Largest of the last so many seconds; null when nothing was measured. */
  most(name: ColumnName, count: number): number | null {
    const values = this.column(name, count).filter((value) => value !== null);
    return values.length > 0 ? Math.max(...values) : null;
  }
}
