/**
 * Counts what is allocated by length while something runs: `new Uint8Array(n)`, `new Array(n)` and their like. A decoder that
 * believes an announced length before it has looked gives itself away, whether the memory is ever touched or not.
 */
const BYTES_PER_ITEM = 8;
const WATCHED = [
  'ArrayBuffer',
  'Array',
  'Uint8Array',
  'Uint16Array',
  'Uint32Array',
  'Int32Array',
  'Float32Array',
] as const;

type Constructor = new (...values: unknown[]) => object;

export class AllocationGuard {
  #bytes = 0;
  readonly #originals = new Map<string, unknown>();

  /** From here on to `remove` the constructors of this thread are watched. */
  install(): void {
    const scope = globalThis as unknown as Record<string, Constructor>;
    for (const name of WATCHED) {
      const original = scope[name]!;
      this.#originals.set(name, original);
      const bytesEach =
        (original as { BYTES_PER_ELEMENT?: number }).BYTES_PER_ELEMENT ?? (name === 'Array' ? BYTES_PER_ITEM : 1);
      const watched: Constructor = new Proxy(original, {
        construct: (target, values, newTarget) => {
          if (typeof values[0] === 'number' && values.length === 1) this.#bytes += values[0] * bytesEach;
          return Reflect.construct(target, values, newTarget === watched ? target : newTarget);
        },
      });
      scope[name] = watched;
    }
  }

  remove(): void {
    for (const [name, original] of this.#originals) (globalThis as unknown as Record<string, unknown>)[name] = original;
  }

  /** Since the last call. */
  take(): number {
    const bytes = this.#bytes;
    this.#bytes = 0;
    return bytes;
  }
}
