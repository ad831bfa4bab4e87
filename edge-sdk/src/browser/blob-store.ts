/**
 * Files by name, written front to back in pieces, so that a download can go on where it stopped. Implementations: the
 * origin's private file system, the Cache API, memory; tests/browser runs one suite on all of them.
 *
 * All may throw a `QuotaExceededError` from `append`.
 */
export interface BlobStore {
  readonly kind: 'opfs' | 'cache' | 'memory';
  /** Bytes of `name` that are there; 0 where there is none. */
  size(name: string): Promise<number>;
  append(name: string, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  read(name: string): Promise<Uint8Array<ArrayBuffer>>;
  remove(name: string): Promise<void>;
  names(): Promise<string[]>;
}

/** For pages without storage, such as private windows and pages that are not https. Gone with the worker. */
export class MemoryStore implements BlobStore {
  readonly kind = 'memory';
  readonly #files = new Map<string, Uint8Array<ArrayBuffer>[]>();

  async size(name: string): Promise<number> {
    return byteLength(this.#files.get(name) ?? []);
  }

  async append(name: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    this.#files.set(name, [...(this.#files.get(name) ?? []), bytes.slice()]);
  }

  async read(name: string): Promise<Uint8Array<ArrayBuffer>> {
    return concatenate(this.#files.get(name) ?? []);
  }

  async remove(name: string): Promise<void> {
    this.#files.delete(name);
  }

  async names(): Promise<string[]> {
    return [...this.#files.keys()];
  }
}

export function concatenate(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(byteLength(parts));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

function byteLength(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, part) => sum + part.length, 0);
}
