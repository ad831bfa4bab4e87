import { type BlobStore, concatenate } from './blob-store.js';

const CACHE = 'tandem';

/**
 * The Cache API, where there is no private file system. It knows whole answers only, so a file is a row of entries
 * `/tandem/<name>/<offset>`.
 */
export class CacheStore implements BlobStore {
  readonly kind = 'cache';
  readonly #cache: Cache;

  private constructor(cache: Cache) {
    this.#cache = cache;
  }

  /** `undefined` where the browser has none, or not here. */
  static async open(): Promise<CacheStore | undefined> {
    try {
      return new CacheStore(await caches.open(CACHE));
    } catch {
      return undefined;
    }
  }

  async size(name: string): Promise<number> {
    return (await this.#pieces(name)).reduce((end, { offset, bytes }) => Math.max(end, offset + bytes), 0);
  }

  async append(name: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const headers = { 'content-length': String(bytes.length), 'content-type': 'application/octet-stream' };
    await this.#cache.put(pieceUrl(name, await this.size(name)), new Response(bytes, { headers }));
  }

  async read(name: string): Promise<Uint8Array<ArrayBuffer>> {
    const parts: Uint8Array[] = [];
    for (const { request } of await this.#pieces(name)) {
      const response = await this.#cache.match(request);
      if (response) parts.push(new Uint8Array(await response.arrayBuffer()));
    }
    return concatenate(parts);
  }

  async remove(name: string): Promise<void> {
    for (const { request } of await this.#pieces(name)) await this.#cache.delete(request);
  }

  async names(): Promise<string[]> {
    const names = (await this.#cache.keys()).map((request) => place(request).name);
    return [...new Set(names)];
  }

  async #pieces(name: string): Promise<{ request: Request; offset: number; bytes: number }[]> {
    const pieces: { request: Request; offset: number; bytes: number }[] = [];
    for (const request of await this.#cache.keys()) {
      const { name: owner, offset } = place(request);
      if (owner !== name) continue;
      const response = await this.#cache.match(request);
      pieces.push({ request, offset, bytes: Number(response?.headers.get('content-length') ?? 0) });
    }
    return pieces.sort((a, b) => a.offset - b.offset);
  }
}

function pieceUrl(name: string, offset: number): string {
  return `/tandem/${name}/${offset}`;
}

function place(request: Request): { name: string; offset: number } {
  const [name, offset] = new URL(request.url).pathname.split('/').slice(-2) as [string, string];
  return { name, offset: Number(offset) };
}
