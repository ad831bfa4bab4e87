import { bytes, count, ms, rate } from './format.js';
import type { History } from './history.js';

interface Reading {
  value: string;
  hint: string;
  tone?: 'warn' | 'bad' | undefined;
  /** Of 1, for what has an end. */
  share?: number;
}

const TOKENS = ['confirmedPerS', 'correctedPerS', 'askedPerS', 'extendedPerS', 'passagePerS'] as const;

/** What an operator looks at first. A tone other than none is something to act on. */
const TILES: Readonly<Record<string, (history: History) => Reading>> = {
  Sessions: (history) => ({
    value: count(history.last('connected')),
    hint: `${count(history.last('detached'))} waiting, ${count(history.last('sockets'))} sockets`,
  }),
  Tokens: (history) => {
    const perS = TOKENS.reduce((sum, name) => sum + history.mean(name, 10), 0);
    return { value: rate(perS), hint: 'a second, over 10 s' };
  },
  'Queue wait': (history) => {
    const worst = history.most('queueP99Ms', 60);
    return {
      value: ms(history.last('queueP99Ms')),
      hint: `p99; worst in 60 s ${ms(worst)}`,
      tone: (worst ?? 0) > 1_000 ? 'warn' : undefined,
    };
  },
  'Engine step': (history) => ({
    value: ms(history.last('stepP50Ms')),
    hint: `median; p99 ${ms(history.last('stepP99Ms'))}`,
  }),
  Memory: (history) => {
    const used = (history.last('hotBytes') ?? 0) + (history.last('rowBytes') ?? 0);
    const share = history.budgetBytes > 0 ? used / history.budgetBytes : 0;
    return { value: bytes(used), hint: `${(100 * share).toFixed(1)} % of ${bytes(history.budgetBytes)}`, share };
  },
  Engines: (history) => {
    const [up, away] = [history.last('enginesAvailable') ?? 0, history.last('enginesAway') ?? 0];
    const restarts = history.last('engineRestarts') ?? 0;
    return {
      value: `${up} of ${up + away}`,
      hint: `${count(restarts)} restart${restarts === 1 ? '' : 's'}`,
      tone: up === 0 ? 'bad' : away > 0 ? 'warn' : undefined,
    };
  },
  Refusals: (history) => ({
    value: count(history.last('refusals')),
    hint: `${count(history.last('rebuilds'))} rebuilds, ${count(history.last('evictions'))} evictions`,
  }),
};

/** Draws the tiles once; returns what fills them in. */
export function showTiles(list: HTMLElement): (history: History) => void {
  const shown = Object.entries(TILES).map(([title, read]) => {
    const tile = document.createElement('div');
    const [name, value, hint] = [
      document.createElement('dt'),
      document.createElement('dd'),
      document.createElement('dd'),
    ];
    const meter = document.createElement('progress');
    tile.className = 'tile';
    name.textContent = title;
    value.className = 'value';
    hint.className = 'hint';
    meter.className = 'meter';
    meter.hidden = true;
    meter.max = 1;
    meter.setAttribute('aria-label', `${title}: share in use`);
    hint.append(document.createElement('span'), meter);
    tile.append(name, value, hint);
    list.append(tile);
    return { tile, value, words: hint.firstElementChild as HTMLElement, meter, read };
  });
  return (history) => {
    for (const { tile, value, words, meter, read } of shown) {
      const reading = read(history);
      value.textContent = reading.value;
      words.textContent = reading.hint;
      tile.dataset.tone = reading.tone ?? '';
      meter.hidden = reading.share === undefined;
      meter.value = reading.share ?? 0;
    }
  };
}
