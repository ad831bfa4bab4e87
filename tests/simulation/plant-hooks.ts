import type { PlantedBug } from './planted-bugs.js';

/** Module hooks of Node: the built file is changed while it is read, and nowhere else. */
let bug: PlantedBug | undefined;

export async function initialize(planted: PlantedBug): Promise<void> {
  bug = planted;
}

interface Loaded {
  source?: string | Uint8Array | null;
}

export async function load<Context>(
  url: string,
  context: Context,
  nextLoad: (url: string, context: Context) => Promise<Loaded>,
): Promise<Loaded> {
  const loaded = await nextLoad(url, context);
  if (!bug || !url.endsWith(`/${bug.file}`)) return loaded;
  return { ...loaded, source: plant(bug, String(loaded.source)) };
}

function plant({ name, file, find, replace }: PlantedBug, source: string): string {
  const places = source.split(find).length - 1;
  if (places !== 1) throw new Error(`planted bug ${name}: ${file} has "${find}" ${places} times, expected once`);
  return source.replace(find, () => replace);
}
