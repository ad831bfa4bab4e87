import type { Command } from 'commander';
import { commandOf } from './other-package.js';

/** `tandem serve-edge …`; it runs a device's part, which is the SDK's business. */
export function serveEdgeCommand(): Command {
  return commandOf({
    name: 'serve-edge',
    description:
      'Serve a model to clients of the OpenAI API (from @tandem/edge; options: npx tandem serve-edge --help).',
    entry: '@tandem/edge/command',
    install: 'npm install @tandem/edge',
  });
}
