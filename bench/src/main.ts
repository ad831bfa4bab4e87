import { Command } from 'commander';
import { benchBrowser } from './browser/browser.js';
import { benchCalibrate } from './calibrate.js';
import { benchCodec } from './codec.js';
import { benchContext } from './context.js';
import { benchDecode } from './decode/decode.js';
import { benchEngine } from './engine.js';
import { benchEntropy } from './entropy.js';
import { benchFormats } from './formats.js';
import { benchGpu } from './gpu.js';
import { benchParity } from './parity.js';
import { benchPolicies } from './policies.js';
import { benchPrepare } from './prepare.js';
import { benchServer } from './server/server.js';

const program = new Command('bench')
  .description('Benchmarks. Each prints its question, a table, and as its last line one line of JSON.')
  .showHelpAfterError('(add --help for the options)');

program
  .command('engine')
  .description('One step of a 12-layer model: our stage, bare ONNX Runtime, and the usual growing KV cache.')
  .option('--json', 'print only the line of JSON')
  .option('--threads <count>', 'threads of ONNX Runtime (default: one per core)', Number)
  .action(benchEngine);

program
  .command('codec')
  .description('Rows at the cut through every codec: bytes, speed, and what changes in the text.')
  .option('--json', 'print only the line of JSON')
  .option('--model <folder>', 'checkpoint to take rows from (default: the embedded model)')
  .option('--tokens <count>', 'tokens of text, rounded down to 250 (default: 20000)', Number)
  .action(benchCodec);

program
  .command('gpu')
  .description('One step on the processor, on CUDA and on WebGPU, each where it starts; the hardware is named.')
  .option('--json', 'print only the line of JSON')
  .option('--contexts <list>', 'positions before the step', '64,512,2048')
  .option('--repetitions <count>', 'steps per figure', '21')
  .action(benchGpu);

program
  .command('browser')
  .description('The device half in Chromium: steps at growing contexts, loading, main thread, memory.')
  .option('--json', 'print only the line of JSON')
  .option('--cycles <count>', 'load and dispose cycles for the memory figure', '100')
  .option('--chromium <path>', 'browser to run', process.env.CHROMIUM ?? '/usr/bin/chromium')
  .action(benchBrowser);

program
  .command('decode')
  .description('Stories in every mode and baseline over links of several round trips, in virtual and in real time.')
  .option('--json', 'print only the line of JSON')
  .option('--clock <clock>', 'virtual, real or both (default: both)')
  .option('--profile <names>', 'stage times in virtual time: ce-collm-7b (default), phone-1b, laptop-8b')
  .option('--rtt <list>', 'round trips in milliseconds (default: 0,10,20,50,80,150)')
  .option('--modes <list>', 'modes and baselines (default: all)')
  .option('--prompts <count>', 'openings (default: 100)')
  .option('--tokens <count>', 'tokens per opening (default: 100)')
  .option('--real-prompts <count>', 'openings in real time at most (default: 4)')
  .option('--real-tokens <count>', 'tokens per opening in real time at most (default: 64)')
  .option('--temperature <number>', 'default: 0, the likeliest token')
  .option('--seed <number>', 'of noise and links (default: 7)')
  .option('--format <format>', 'weights: q8 (default) or f32')
  .option('--model <folder>', 'checkpoint with openings.txt (default: the embedded model)')
  .option('--set <setting>', 'session option of an experiment, such as exact.draftLength=8; repeatable', collect)
  .option('--no-cache', 'put every text to the model anew')
  .action(benchDecode);

program
  .command('server')
  .description('Readers on one server, split and unsplit: tokens, steps, queues, memory.')
  .option('--json', 'print only the line of JSON')
  .option('--clock <clock>', 'virtual (default), real or both')
  .option('--real', 'check virtual time by 8 and 32 readers on real sockets; takes a minute and a half more')
  .option('--seconds <count>', 'seconds for each load in real time (default: 8)', Number)
  .action(benchServer);

program
  .command('context')
  .description('Contexts on the server: bytes hot and cold, bringing them back, and what a shared beginning saves.')
  .option('--json', 'print only the line of JSON')
  .action(benchContext);

program
  .command('calibrate')
  .description('Exit heads without training: raw, fitted and trained, and the time it takes.')
  .option('--json', 'print only the line of JSON')
  .option('--tokens <count>', 'tokens that each model is fitted on', Number, 20_000)
  .option('--timed-tokens <count>', 'tokens of the timed run; 0 leaves it out', Number, 50_000)
  .action(benchCalibrate);

program
  .command('policies')
  .description('Exit policies: agreement against the share that is settled on the device.')
  .option('--json', 'print only the line of JSON')
  .option('--model <folder>', 'checkpoint (default: the embedded model)')
  .option('--tokens <count>', 'tokens of text (default: all)', Number)
  .action(benchPolicies);

program
  .command('entropy')
  .description('How unsure the embedded model is of its own stories, for the thresholds of a larger model.')
  .option('--json', 'print only the line of JSON')
  .option('--prompts <count>', 'openings (default: 20)', Number)
  .option('--tokens <count>', 'tokens per opening (default: 60)', Number)
  .option('--temperature <number>', 'default: 0.8', Number)
  .option('--seed <number>', 'default: 1', Number)
  .action(benchEntropy);

program
  .command('prepare')
  .description('A generated checkpoint of 1.2 billion weights becomes a bundle: seconds, peak memory, rate.')
  .option('--json', 'print only the line of JSON')
  .action(benchPrepare);

program
  .command('parity')
  .description('Every architecture against Hugging Face transformers, on the fixtures of the tests.')
  .option('--json', 'print only the line of JSON')
  .action(benchParity);

program
  .command('formats')
  .description(
    'Weight formats on onnxruntime-node and in WebAssembly: time of a step, and how often the choice is that of f32.',
  )
  .option('--json', 'print only the line of JSON')
  .option('--tokens <count>', 'tokens of text', Number, 1_000)
  .action(benchFormats);

await program.parseAsync();

function collect(value: string, earlier: string[] = []): string[] {
  return [...earlier, value];
}
