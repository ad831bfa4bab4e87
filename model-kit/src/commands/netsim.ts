import type { Command } from 'commander';
import { commandOf } from './other-package.js';

/** `tandem netsim …`; a tool for tests, and so a package of its own. */
export function netsimCommand(): Command {
  return commandOf({
    name: 'netsim',
    description: 'Put a bad network in front of a server (from @tandem/netsim; options: npx tandem-netsim --help).',
    entry: '@tandem/netsim/command',
    install: 'npm install --save-dev @tandem/netsim',
  });
}
