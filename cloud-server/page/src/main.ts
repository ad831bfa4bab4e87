import type { LiveHistory } from '../../src/dashboard/live-figures.js';
import { showCharts } from './charts.js';
import { duration } from './format.js';
import { History } from './history.js';
import { showTiles } from './tiles.js';

/** The live page: asks the server for what is new once a second, and draws it. */
const SAMPLES_MAX = 600;
const READY_EVERY = 5;

const element = (id: string) => document.getElementById(id) as HTMLElement;
const history = new History(SAMPLES_MAX);
const tiles = showTiles(element('tiles'));
const charts = showCharts(element('charts'));
let about = '';
let spanS = 300;
let rounds = 0;

for (const radio of document.querySelectorAll<HTMLInputElement>('[name=span]')) {
  radio.addEventListener('change', () => {
    spanS = Number(radio.value);
    charts.draw(history, spanS);
  });
}
const dark = matchMedia('(prefers-color-scheme: dark)');
dark.addEventListener('change', () => charts.restyle());
element('theme').addEventListener('click', () => {
  const { dataset } = document.documentElement;
  const isDark = dataset.theme === undefined ? dark.matches : dataset.theme === 'dark';
  dataset.theme = isDark ? 'light' : 'dark';
  charts.restyle();
});
void run();

async function run(): Promise<void> {
  for (;;) {
    try {
      await refresh();
    } catch {
      say('gone', 'the server does not answer');
    }
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
}

async function refresh(): Promise<void> {
  const news = await ask<LiveHistory>(`dashboard/figures/${history.next}`);
  const isRound = rounds++ % READY_EVERY === 0;
  // Another process answers: what was drawn was the last one's.
  if (!history.add(news)) return refresh();
  if (isRound || about === '') {
    about = describe(await ask<ServerInfo>('v1/info'));
    const ready = await ask<{ status: string; reason?: string }>('ready');
    if (ready.status === 'ready') say('serving', 'serving');
    else say('unwell', ready.reason ?? ready.status);
  }
  const upMs = (history.last('unixMs') ?? history.startedUnixMs) - history.startedUnixMs;
  element('about').textContent = `${about} · up ${duration(upMs)}`;
  tiles(history);
  charts.draw(history, spanS);
}

interface ServerInfo {
  version: string;
  name: string;
  format: string;
  cut: number;
  layers: number;
  engine: { backend: string; threads: number | string; processes: number };
}

function describe({ version, name, format, cut, layers, engine }: ServerInfo): string {
  const { processes, threads, backend } = engine;
  const engines = `${processes} engine${processes === 1 ? '' : 's'}`;
  const threading = typeof threads === 'number' ? `${threads} thread${threads === 1 ? '' : 's'}` : threads;
  return `${name}, ${format}, layers ${cut}–${layers} · ${engines} of ${threading}, ${backend} · ${version}`;
}

/** A server that is not ready answers 503 and says why. */
async function ask<Answer>(path: string): Promise<Answer> {
  const answer = await fetch(path, { cache: 'no-store' });
  if (!answer.ok && answer.status !== 503) throw new Error(`${path}: ${answer.status}`);
  return (await answer.json()) as Answer;
}

function say(state: string, text: string): void {
  const pill = element('state');
  pill.dataset.state = state;
  if (pill.textContent !== text) pill.textContent = text;
}
