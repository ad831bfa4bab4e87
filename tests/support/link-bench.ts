import type { LinkState } from '@tandem/edge';
import { CloudLink } from '@tandem/edge/testing';
import type { Message, TandemError } from '@tandem/shared';
import { FakeServer } from './fake-server.js';
import { ManualClock } from './manual-clock.js';

export const UNAVAILABLE_AFTER_MS = 60_000;
/** Half of the ceiling, always: makes delays predictable. */
const HALF = { next: () => 0.5 };

export interface LinkBench {
  clock: ManualClock;
  server: FakeServer;
  link: CloudLink;
  states: LinkState[];
  messages: Message[];
  failures: (TandemError | undefined)[];
}

/** A link to a fake server under a clock that stands still; nothing is dialled yet. */
export function createLinkBench(
  options: { unavailableAfterMs?: number; connect?: () => Promise<FakeServer['connect']> } = {},
): LinkBench {
  const clock = new ManualClock();
  const server = new FakeServer();
  const states: LinkState[] = [];
  const messages: Message[] = [];
  const failures: (TandemError | undefined)[] = [];
  const link = new CloudLink({
    connect: options.connect ?? (async () => server.connect),
    unavailableAfterMs: options.unavailableAfterMs ?? UNAVAILABLE_AFTER_MS,
    clock,
    random: HALF,
    handlers: {
      openMessage: () => ({ model: 'm', format: 'f32', context: 'rows', codec: 'f16', capacity: 64, epoch: 0 }),
      opened: () => {},
      message: (message) => messages.push(message),
      stateChanged: (state, error) => {
        states.push(state);
        failures.push(error);
      },
    },
  });
  return { clock, server, link, states, messages, failures };
}

export function startLinkBench(options: Parameters<typeof createLinkBench>[0] = {}): LinkBench {
  const bench = createLinkBench(options);
  bench.link.start();
  return bench;
}
