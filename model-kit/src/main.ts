import { isTandemError } from '@tandem/shared';
import { Command } from 'commander';
import { calibrateCommand } from './commands/calibrate.js';
import { inspectCommand } from './commands/inspect.js';
import { netsimCommand } from './commands/netsim.js';
import { planCommand } from './commands/plan.js';
import { prepareCommand } from './commands/prepare.js';
import { pullCommand } from './commands/pull.js';
import { reportCommand } from './commands/report.js';
import { serveEdgeCommand } from './commands/serve-edge.js';

const program = new Command('tandem')
  .description('Prepare models for Tandem and look into prepared ones.')
  .version('0.1.0')
  .showHelpAfterError('(add --help for the options)');
for (const command of [
  pullCommand(),
  prepareCommand(),
  calibrateCommand(),
  inspectCommand(),
  reportCommand(),
  planCommand(),
])
  program.addCommand(command.copyInheritedSettings(program));
// These answer --help themselves, and inherit nothing.
for (const command of [serveEdgeCommand(), netsimCommand()]) program.addCommand(command);

try {
  await program.parseAsync();
} catch (error) {
  // An expected failure is told in one line; a stack is for our own bugs.
  console.error(isTandemError(error) ? error.message : error);
  process.exitCode = 1;
}
