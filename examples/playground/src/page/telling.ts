import type { EdgeModel, GenerationResult, SessionEvent } from '@tandem/edge';
import { simulateLink } from '@tandem/netsim';
import type { Connect } from '@tandem/shared';
import type { LinkPanel } from './link-panel.js';
import type { Mode, StorySettings } from './mode-panel.js';
import type { StoryView } from './story-view.js';

export interface Telling {
  model: EdgeModel;
  cloudUrl: string;
  prompt: string;
  settings: StorySettings;
  link: LinkPanel;
  view: StoryView;
  signal: AbortSignal;
  onEvent(event: SessionEvent): void;
}

/** One story in a session of its own, over a link of its own that obeys the panel. */
export async function tell({ view, ...telling }: Telling): Promise<GenerationResult> {
  const { model, settings, signal } = telling;
  const { mode, temperature, seed, maxOutputTokens } = settings;
  let detach = () => {};
  const wrap = (connect: Connect): Connect => {
    const link = simulateLink(connect, telling.link.profile, { seed });
    detach = telling.link.attach(link);
    return link.connect;
  };
  const session = await model.createSession({
    mode,
    onCloudUnavailable: 'degrade',
    ...tuning(settings),
    ...(mode === 'device-only'
      ? {}
      : { cloud: { url: telling.cloudUrl, unavailableAfterMs: 1_500, wrapTransport: wrap } }),
  });
  const subscription = session.events$.subscribe(telling.onEvent);
  view.begin(telling.prompt);
  try {
    const rules = { temperature, seed, maxOutputTokens, signal, emit: 'provisional' } as const;
    const generation = session.generate(telling.prompt, rules);
    for await (const part of generation) view.push(part);
    return await generation;
  } finally {
    view.end();
    subscription.unsubscribe();
    await session.dispose();
    detach();
  }
}

function tuning({ mode, draftLength, threshold }: StorySettings): { draftLength?: number; threshold?: number } {
  const tunings: Record<Mode, { draftLength?: number; threshold?: number }> = {
    exact: { draftLength },
    collaborative: { draftLength, threshold },
    'device-only': {},
    'cloud-only': {},
  };
  return tunings[mode];
}
