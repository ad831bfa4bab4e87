/** The playground: a model in this page, a server beside it, and a story that is told by both. */
import { EdgeModel, type GenerationResult, isTandemError, type LoadProgress } from '@tandem/edge';
import { systemClock } from '@tandem/shared';
import { CostPanel } from './cost-panel.js';
import { element } from './elements.js';
import { Figures, ms, rate } from './figures.js';
import { LinkPanel } from './link-panel.js';
import { ModePanel } from './mode-panel.js';
import { StoryView } from './story-view.js';
import { type Telling, tell } from './telling.js';
import { Timeline } from './timeline.js';

interface Config {
  cloudUrl: string;
  openings: string[];
}

const prompt = element<HTMLTextAreaElement>('prompt');
const tellButton = element<HTMLButtonElement>('tell');
const stopButton = element<HTMLButtonElement>('stop');
const compare = element<HTMLInputElement>('compare');
const split = new StoryView('split');
const cloud = new StoryView('cloud');
const figures = new Figures(systemClock);
const timeline = new Timeline(systemClock);
const link = new LinkPanel(systemClock, () => predict());
const mode = new ModePanel(() => predict());
const costs = new CostPanel();
let stop: AbortController | undefined;

async function main(): Promise<void> {
  const config = (await (await fetch('config.json')).json()) as Config;
  let opening = 0;
  predict();
  prompt.value = config.openings[0]!;
  element('another').addEventListener('click', () => {
    opening = (opening + 1) % config.openings.length;
    prompt.value = config.openings[opening]!;
  });
  element('theme').addEventListener('click', switchTheme);
  stopButton.addEventListener('click', () => stop?.abort());
  split.onPointed((position) => timeline.point(position));
  const model = await EdgeModel.load('model', {
    // The simulated link is a function, and those cannot cross to a worker.
    worker: false,
    onProgress: showProgress,
  });
  element<HTMLProgressElement>('progress').hidden = true;
  element('backend').textContent = `Device stages: ${model.backend}.`;
  say('Ready.');
  tellButton.disabled = false;
  element('ask').addEventListener('submit', (event) => {
    event.preventDefault();
    void run(model, config);
  });
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') stop?.abort();
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey) && !stop) void run(model, config);
  });
}

/** The story as asked for, then, to compare, with all layers on the server. */
async function run(model: EdgeModel, { cloudUrl }: Config): Promise<void> {
  const controller = new AbortController();
  stop = controller;
  tellButton.disabled = true;
  stopButton.disabled = false;
  element('cloud-card').hidden = !compare.checked;
  element('verdict').textContent = '';
  const telling = { model, cloudUrl, prompt: prompt.value, link, signal: controller.signal };
  try {
    const told = await tellHere({ ...telling, settings: mode.settings, view: split });
    if (compare.checked) {
      const settings = { ...mode.settings, mode: 'cloud-only' as const };
      say('The same story, all layers on the server…');
      const there = await tellThere({ ...telling, settings, view: cloud, onEvent: showConnection });
      element('verdict').textContent = compareStories(told, there);
      figures.compare(told, there);
    }
    say('Told.');
  } catch (error) {
    say(isTandemError(error) && error.code === 'ABORTED' ? 'Stopped.' : String((error as Error).message));
  } finally {
    stop = undefined;
    tellButton.disabled = false;
    stopButton.disabled = true;
    showConnection({ kind: 'connection', state: 'idle' });
    predict();
  }
}

async function tellHere(telling: Omit<Telling, 'onEvent'>): Promise<GenerationResult> {
  const { settings } = telling;
  say(`Telling a story, ${settings.mode} over ${link.name}…`);
  split.title = settings.mode === 'cloud-only' ? 'Cloud-only' : `Split, ${settings.mode}`;
  split.note = '';
  figures.begin();
  timeline.begin();
  costs.begin();
  try {
    const onEvent: Telling['onEvent'] = (event) => {
      figures.event(event);
      timeline.event(event);
      costs.event(event);
      showConnection(event);
    };
    const result = await tell({ ...telling, onEvent });
    figures.end(result);
    split.note = noteOf(result);
    costs.end(settings.mode, result);
    return result;
  } finally {
    timeline.end();
  }
}

async function tellThere(telling: Telling): Promise<GenerationResult> {
  cloud.note = '';
  const result = await tell(telling);
  cloud.note = noteOf(result);
  costs.end('cloud-only', result);
  return result;
}

function compareStories(here: GenerationResult, there: GenerationResult): string {
  const equal = here.tokens.filter(({ id }, index) => id === there.tokens[index]?.id).length;
  const saved = there.timings.cloudMs - here.timings.cloudMs;
  const cloudTime = saved >= 0 ? `${ms(saved)} of cloud time saved` : `${ms(-saved)} of cloud time more`;
  return `${equal} of ${here.tokens.length} tokens are those of cloud-only; ${cloudTime}.`;
}

function noteOf({ tokens, timings }: GenerationResult): string {
  const seconds = (timings.elapsedMs / 1000).toFixed(1);
  return `${link.name} · ${rate(tokens.length, timings.elapsedMs)} tokens/s · ${seconds} s`;
}

function predict(): void {
  costs.show(mode.settings, link.figures);
}

function showProgress({ stage, loadedBytes, totalBytes }: LoadProgress): void {
  if (totalBytes > 0) element<HTMLProgressElement>('progress').value = loadedBytes / totalBytes;
  const megabytes = (bytes: number) => (bytes / 1e6).toFixed(1);
  if (stage === 'download') say(`Loading the model: ${megabytes(loadedBytes)} of ${megabytes(totalBytes)} MB`);
  if (stage === 'device-stages') say('Starting the device’s stages…');
}

const showConnection: Telling['onEvent'] = (event) => {
  if (event.kind !== 'connection') return;
  const pill = element('connection');
  pill.dataset.state = event.state;
  pill.textContent = CONNECTION[event.state];
};

const CONNECTION = {
  idle: 'not connected',
  connecting: 'connecting…',
  open: 'connected',
  unavailable: 'cloud away',
  failed: 'refused',
  closed: 'not connected',
} as const;

function switchTheme(): void {
  const isDark = getComputedStyle(document.documentElement).colorScheme === 'dark';
  const wantsDark = matchMedia('(prefers-color-scheme: dark)').matches;
  const current = document.documentElement.dataset.theme ?? (isDark || wantsDark ? 'dark' : 'light');
  document.documentElement.dataset.theme = current === 'dark' ? 'light' : 'dark';
  timeline.draw();
}

function say(text: string): void {
  element('status').textContent = text;
}

main().catch((error) => say(String(error?.message ?? error)));
