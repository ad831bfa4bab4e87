import type { Format } from '@tandem/shared';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { EndpointOptions } from './endpoint/edge-endpoint.js';
import { MODES } from './exit/decision.js';
import type { SessionOptions } from './options.js';

/** What `tandem serve-edge` was told to do. */
export interface ServeEdgeTask {
  model: string;
  format: Format | undefined;
  threads: number | undefined;
  session: SessionOptions;
  endpoint: EndpointOptions;
}

interface Flags {
  model: string;
  cloud?: string;
  mode: NonNullable<SessionOptions['mode']>;
  epsilon?: number;
  onCloudUnavailable: NonNullable<SessionOptions['onCloudUnavailable']>;
  cloudToken?: string;
  largerModel: NonNullable<SessionOptions['largerModel']>;
  format?: Format;
  threads?: number;
  host: string;
  port: number;
  apiKey?: string;
  allowOrigin?: string[];
  sessions: number;
}

/** The door to commander. Ends the process with a message where the line is wrong or asks for help. */
export function readCommandLine(args: readonly string[], version: string): ServeEdgeTask {
  const command = new Command('tandem serve-edge')
    .description('Serve a model to clients of the OpenAI API: this machine and a Tandem server share the work.')
    .version(version)
    .showHelpAfterError('(add --help for the options)')
    .requiredOption('--model <folder>', 'bundle made by "tandem prepare"')
    .option('--cloud <url>', 'address of tandem-cloud, ws:// or wss:// (none needed with --mode device-only)')
    .addOption(new Option('--mode <mode>', 'who settles the tokens').choices([...MODES]).default('exact'))
    .option('--epsilon <share>', 'collaborative: disagreements with the whole model, at most', readNumber)
    .addOption(
      new Option('--on-cloud-unavailable <what>', 'if the server stays away')
        .choices(['degrade', 'wait', 'fail'])
        .default('degrade'),
    )
    .addOption(new Option('--cloud-token <token>', 'credential for the server').env('TANDEM_CLOUD_TOKEN'))
    .addOption(
      new Option('--larger-model <consent>', "whether the server's larger model may write, and read the text")
        .choices(['allow', 'never'])
        .default('never'),
    )
    .addOption(new Option('--format <format>', 'weight format').choices(['f32', 'f16', 'q8', 'q4']))
    .option('--threads <count>', 'threads of one step', readNumber)
    .option('--host <address>', 'address to listen at', '127.0.0.1')
    .option('--port <number>', 'port to listen at; 0 takes a free one', readNumber, 8788)
    .addOption(new Option('--api-key <key>', 'what clients have to send as their key').env('TANDEM_API_KEY'))
    .option('--allow-origin <origin...>', 'web pages that may ask, as https://app.example')
    .option('--sessions <count>', 'requests at a time; more wait', readNumber, 4)
    .addHelpText(
      'after',
      '\nExample:\n  $ tandem serve-edge --model .cache/tales --cloud ws://localhost:8787\n  $ curl http://127.0.0.1:8788/v1/models',
    )
    .parse(args, { from: 'user' });
  return taskOf(command.opts<Flags>());
}

function taskOf(flags: Flags): ServeEdgeTask {
  const { model, cloud, mode, epsilon, onCloudUnavailable, cloudToken, largerModel, format, threads } = flags;
  const { host, port, apiKey, allowOrigin, sessions } = flags;
  return {
    model,
    format,
    threads,
    session: {
      mode,
      onCloudUnavailable,
      largerModel,
      likelyToReturn: true,
      ...(cloud === undefined || mode === 'device-only'
        ? {}
        : { cloud: { url: cloud, ...(cloudToken === undefined ? {} : { token: cloudToken }) } }),
      ...(epsilon === undefined ? {} : { epsilon }),
    },
    endpoint: {
      host,
      port,
      sessionsMax: sessions,
      ...(apiKey === undefined ? {} : { apiKey }),
      ...(allowOrigin === undefined ? {} : { allowedOrigins: allowOrigin }),
    },
  };
}

function readNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('a number is needed');
  return value;
}
