import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { deserialize, serialize } from 'node:v8';
import type { ChainEngine, Manifest, RowCodecName, SamplingSettings } from '@tandem/shared';
import { RealHeads } from './real-heads.js';
import { ReplayModel } from './replay-model.js';
import { type SavedTrie, TokenTrie } from './token-trie.js';

const CACHE = fileURLToPath(new URL('../../../.cache/bench-decode/', import.meta.url));
const KEY_LENGTH = 16;
/** What changes choices, as far as code does. */
const CODE = ['codec', 'engine', 'numeric', 'sampling', 'stage'];

export interface ReplayModelsOptions {
  engine: ChainEngine;
  manifest: Manifest;
  sampling: SamplingSettings;
  /** Whether answers are kept on disk for the next run. */
  keep: boolean;
}

interface OpenModel {
  model: ReplayModel;
  heads: RealHeads;
  file: string;
}

/** A replay model per codec, kept on disk between runs: a benchmark asks the real model what it never asked before. */
export class ReplayModels {
  readonly #options: ReplayModelsOptions;
  readonly #open = new Map<RowCodecName, Promise<OpenModel>>();

  constructor(options: ReplayModelsOptions) {
    this.#options = options;
  }

  async get(codec: RowCodecName): Promise<ReplayModel> {
    const known = this.#open.get(codec) ?? this.#load(codec);
    this.#open.set(codec, known);
    return (await known).model;
  }

  /** Texts that the real model was asked about in this run. */
  async asked(): Promise<number> {
    const open = await Promise.all(this.#open.values());
    return open.reduce((sum, { heads }) => sum + heads.asked, 0);
  }

  async save(): Promise<void> {
    if (!this.#options.keep) return;
    for (const { model, heads, file } of await Promise.all(this.#open.values())) {
      if (heads.asked === 0) continue;
      await mkdir(CACHE, { recursive: true });
      // Renamed into place: a run that is killed must not leave half a file.
      const draft = `${file}.${process.pid}`;
      await writeFile(draft, serialize(model.trie.save()));
      await rename(draft, file);
      await removeStale(file);
    }
  }

  async #load(codec: RowCodecName): Promise<OpenModel> {
    const { engine, manifest, sampling, keep } = this.#options;
    const hasHead = manifest.stages.map(({ head }) => head !== 'none');
    const heads = new RealHeads({ engine, codec, sampling, hasHead });
    const label = [engine.info.format, codec, `temperature${sampling.temperature}`, `seed${sampling.seed}`].join('-');
    const file = join(CACHE, `${label}-${await this.#key(codec)}.bin`);
    const saved = keep ? await readFile(file).catch(() => undefined) : undefined;
    const trie = saved ? TokenTrie.restore(deserialize(saved) as SavedTrie) : new TokenTrie();
    return { model: new ReplayModel(heads, trie), heads, file };
  }

  async #key(codec: RowCodecName): Promise<string> {
    const { engine, manifest, sampling } = this.#options;
    const { fingerprint, stages, cut } = manifest;
    const what = JSON.stringify([fingerprint, engine.info.format, stages.map(({ to }) => to), cut, codec, sampling]);
    const hash = createHash('sha256').update(what);
    const code = dirname(createRequire(import.meta.url).resolve('@tandem/shared'));
    for (const folder of CODE) {
      for (const name of (await readdir(join(code, folder))).filter((each) => each.endsWith('.js')).sort()) {
        hash.update(await readFile(join(code, folder, name)));
      }
    }
    return hash.digest('hex').slice(0, KEY_LENGTH);
  }
}

/** Answers of an earlier state of the model, or of the code, would pile up. */
async function removeStale(file: string): Promise<void> {
  const label = basename(file).slice(0, -KEY_LENGTH - '.bin'.length);
  for (const name of await readdir(CACHE)) {
    const isStale = name.startsWith(label) && name.length === basename(file).length && name !== basename(file);
    if (isStale) await rm(join(CACHE, name), { force: true });
  }
}
