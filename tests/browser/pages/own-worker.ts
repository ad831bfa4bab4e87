/** An app's own worker that loads a model: it is off the page's thread already. Its first message names the bundle. */
import { EdgeModel } from '@tandem/edge';

addEventListener(
  'message',
  async ({ data }: MessageEvent<string>) => {
    const model = await EdgeModel.load(data, { device: 'wasm' });
    postMessage(model.backend);
  },
  { once: true },
);
