import { EdgeModel } from '@tandem/edge';
import type { Story } from './exactness.js';

/** A device in a process of its own, for tests/long/partition.test.ts: tells one story, and says so token by token. */
export interface DeviceJob {
  bundle: string;
  url: string;
  token: string;
  story: Story;
}

export type DeviceNews =
  | { kind: 'token'; id: number }
  | { kind: 'connection'; state: string }
  | { kind: 'told'; ids: number[] }
  | { kind: 'failed'; error: string };

const say = (news: DeviceNews): void => void process.send!(news);

async function tell({ bundle, url, token, story: { opening, ...rules } }: DeviceJob): Promise<void> {
  const model = await EdgeModel.load(bundle, { format: 'q8', threads: 1 });
  const session = await model.createSession({ onCloudUnavailable: 'wait', cloud: { url, token } });
  // As browsers do by themselves when the network is back.
  process.on('message', (word) => {
    if (word === 'reconnect') session.reconnect();
  });
  session.connection$.subscribe(({ state }) => say({ kind: 'connection', state }));
  const generation = session.generate(opening, rules);
  for await (const { tokens } of generation) {
    for (const { id } of tokens) say({ kind: 'token', id });
  }
  say({ kind: 'told', ids: (await generation).tokens.map(({ id }) => id) });
  await model.dispose();
}

process.once('message', (job: DeviceJob) => {
  tell(job)
    .catch((error) => say({ kind: 'failed', error: String(error) }))
    .finally(() => process.disconnect());
});
