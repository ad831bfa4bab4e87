import { talesBundle } from './tales.js';

/** Makes the bundle once, before test files race for it. */
export default async function setup(): Promise<void> {
  await talesBundle();
}
