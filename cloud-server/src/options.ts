import { totalmem } from 'node:os';
import { limits, TandemError } from '@tandem/shared';
import { NODE_DEVICES } from '@tandem/shared/node';
import { z } from 'zod';
import { isLoopback } from './gateway/admission.js';
import { LOG_LEVELS } from './log.js';

/** How the text of a flag or an environment variable becomes a value. */
type OptionKind = 'text' | 'integer' | 'number' | 'switch' | 'list';

interface OptionRow {
  kind: OptionKind;
  /** Name of the value in `--help`. */
  value: string;
  /** Default as `--help` shows it, where the schema's own is not enough. */
  shown?: string;
  text: string;
}

const port = z.int().min(0).max(65_535);
/** Entropies: e^20 is more than any vocabulary has. */
const nats = z.number().min(0).max(20);
const token = z.string().min(1).max(1_024).regex(/^\S+$/, 'no spaces');

/** Every option of the server: its schema here, its words below. Flags and environment variables follow from the names. */
export const serverOptionsSchema = z.strictObject({
  model: z.string('is required').min(1, 'is required').max(4_096),
  host: z.string().min(1).max(255).default('127.0.0.1'),
  port: port.default(8787),
  format: z.string().min(1).max(16).optional(),
  device: z.enum(NODE_DEVICES).default('cpu'),
  threads: z.int().min(1).max(256).optional(),
  engines: z.int().min(1).max(64).default(1),
  batchSessions: z
    .union([z.literal('auto'), z.coerce.number().pipe(z.int().min(1).max(limits.BATCH_SLOTS_MAX))], {
      error: `auto, or a whole number from 1 to ${limits.BATCH_SLOTS_MAX}`,
    })
    .default('auto'),
  contextMib: z
    .int()
    .min(1)
    .max(16_777_216)
    .default(() => Math.floor(totalmem() / 2 ** 22)),
  token: z.array(token).max(1_024).default([]),
  key: z
    .array(z.string().regex(/^[\w.-]{1,64}:[0-9a-fA-F]{64}$/, 'a tenant, a colon and the sha256 of its key'))
    .max(65_536)
    .default([]),
  jwksUrl: z.url({ protocol: /^https?$/, error: 'an http(s) address' }).optional(),
  jwtIssuer: z.string().min(1).max(1_024).optional(),
  jwtAudience: z.string().min(1).max(1_024).optional(),
  allowOrigin: z.array(z.string().min(1).max(255)).max(256).default([]),
  adminToken: token.optional(),
  contextOvercommit: z.number().min(1).max(1_000).default(1),
  insecureNoAuth: z.boolean().default(false),
  tenantSessionsMax: z.int().min(1).max(1_000_000).optional(),
  tenantTokensPerMinute: z.int().min(1).optional(),
  tenantBytesPerMinute: z.int().min(1).optional(),
  sessionsMax: z.int().min(1).max(1_000_000).default(limits.SESSIONS_MAX),
  resumeWindowMs: z.int().min(0).max(86_400_000).default(limits.RESUME_WINDOW_MS),
  completions: z.boolean().default(false),
  largerModelUrl: z
    .url({ protocol: /^https?$/, error: 'an http:// or https:// address' })
    .max(2_048)
    .optional(),
  largerModelName: z.string().min(1).max(limits.MODEL_NAME_CHARS_MAX).optional(),
  largerModelKey: token.optional(),
  largerModelCeiling: nats.default(2.5),
  largerModelFloor: nats.default(2),
  largerModelTokens: z.int().min(1).max(4_096).default(64),
  largerModelTimeoutMs: z.int().min(1).max(10_000).default(5_000),
  logLevel: z.enum(LOG_LEVELS).default('info'),
});

export type ServerOptions = z.input<typeof serverOptionsSchema>;
export type ParsedServerOptions = z.output<typeof serverOptionsSchema>;
export type OptionName = keyof ServerOptions;

export const OPTION_ROWS: Readonly<Record<OptionName, OptionRow>> = {
  model: { kind: 'text', value: '<folder>', text: 'bundle made by "tandem prepare"' },
  host: { kind: 'text', value: '<address>', text: 'address to listen on' },
  port: { kind: 'integer', value: '<number>', text: 'port to listen on; 0 takes any free one' },
  format: { kind: 'text', value: '<name>', shown: "the bundle's first", text: 'weight format: f32, f16, q8 or q4' },
  device: {
    kind: 'text',
    value: '<name>',
    text: 'what the engine runs on: auto, cpu, cuda or webgpu; what does not start here is replaced by cpu, with the reason in the log',
  },
  threads: { kind: 'integer', value: '<count>', shown: 'one per core', text: 'threads of one engine step' },
  token: { kind: 'list', value: '<token>', shown: 'none', text: 'credential that clients must present; repeatable' },
  key: {
    kind: 'list',
    value: '<tenant:sha256>',
    shown: 'none',
    text: "a tenant's key by its hash; several keys may name one tenant; repeatable",
  },
  jwksUrl: {
    kind: 'text',
    value: '<url>',
    shown: 'none',
    text: "where a token issuer's public keys are: tokens are JWTs",
  },
  jwtIssuer: { kind: 'text', value: '<name>', shown: 'any', text: 'what the claim iss of a JWT must be' },
  jwtAudience: { kind: 'text', value: '<name>', shown: 'any', text: 'what the claim aud of a JWT must hold' },
  engines: { kind: 'integer', value: '<count>', text: 'engine processes; sessions are spread over them' },
  batchSessions: {
    kind: 'text',
    value: '<count>',
    text: 'sessions whose steps an engine runs as one; auto: three, if it measures at its start that this is quicker; 1: never',
  },
  contextMib: {
    kind: 'integer',
    value: '<MiB>',
    shown: 'a quarter of the memory',
    text: 'memory for the contexts of all sessions; on a GPU no more than it holds',
  },
  contextOvercommit: {
    kind: 'number',
    value: '<ratio>',
    text: 'so many times that memory may be promised to sessions; idle ones give way',
  },
  allowOrigin: {
    kind: 'list',
    value: '<origin>',
    shown: 'loopback only',
    text: 'origin of web pages that may connect, as in https://example.org; * for all; repeatable',
  },
  adminToken: {
    kind: 'text',
    value: '<token>',
    shown: 'none: loopback only',
    text: 'credential for /metrics and /dashboard',
  },
  insecureNoAuth: { kind: 'switch', value: '', text: 'serve other machines without any credential' },
  tenantSessionsMax: { kind: 'integer', value: '<count>', shown: 'no limit', text: 'connected sessions of one tenant' },
  tenantTokensPerMinute: {
    kind: 'integer',
    value: '<count>',
    shown: 'no limit',
    text: 'tokens decided for one tenant',
  },
  tenantBytesPerMinute: {
    kind: 'integer',
    value: '<bytes>',
    shown: 'no limit',
    text: 'payload received from one tenant',
  },
  sessionsMax: { kind: 'integer', value: '<count>', text: 'sessions at a time, waiting ones included' },
  resumeWindowMs: { kind: 'integer', value: '<ms>', text: 'how long a session without a connection is kept' },
  completions: { kind: 'switch', value: '', text: 'answer /v1/completions over the whole model, for OpenAI clients' },
  largerModelUrl: {
    kind: 'text',
    value: '<address>',
    shown: 'none',
    text: 'base address of an OpenAI-compatible server with a larger model, as in http://localhost:8000/v1',
  },
  largerModelName: { kind: 'text', value: '<name>', shown: 'none', text: 'name of that model there' },
  largerModelKey: {
    kind: 'text',
    value: '<key>',
    shown: 'none',
    text: 'its credential; better in the environment, where no process list shows it',
  },
  largerModelCeiling: {
    kind: 'number',
    value: '<nats>',
    text: 'mean entropy from which on the larger model writes',
  },
  largerModelFloor: {
    kind: 'number',
    value: '<nats>',
    text: 'mean entropy up to which it hands back; below the ceiling',
  },
  largerModelTokens: { kind: 'integer', value: '<count>', text: 'longest passage of the larger model' },
  largerModelTimeoutMs: {
    kind: 'integer',
    value: '<ms>',
    text: 'longest wait for its next word; then the small model goes on',
  },
  logLevel: { kind: 'text', value: '<level>', text: LOG_LEVELS.join(', ') },
};

export const OPTION_NAMES = Object.keys(OPTION_ROWS) as OptionName[];

/** `resumeWindowMs` → `--resume-window-ms` */
export function flagOf(name: OptionName): string {
  return `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** `resumeWindowMs` → `TANDEM_RESUME_WINDOW_MS` */
export function environmentOf(name: OptionName): string {
  return `TANDEM_${name.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}

/**
 * Checks values and what they mean together.
 * @throws TandemError INVALID_OPTION, naming the flag.
 */
export function parseServerOptions(values: unknown): ParsedServerOptions {
  const result = serverOptionsSchema.safeParse(values);
  if (!result.success) throw new TandemError('INVALID_OPTION', describeIssue(result.error.issues[0]!));
  const options = result.data;
  if (!isLoopback(options.host) && !hasCredentials(options) && !options.insecureNoAuth) {
    const message = `${options.host} can be reached from other machines; give a --token, --key or --jwks-url, or --insecure-no-auth if you mean it`;
    throw new TandemError('INVALID_OPTION', message);
  }
  checkLargerModel(options);
  return options;
}

/** Whether clients must present anything. */
export function hasCredentials({ token, key, jwksUrl }: ParsedServerOptions): boolean {
  return token.length > 0 || key.length > 0 || jwksUrl !== undefined;
}

function checkLargerModel(options: ParsedServerOptions): void {
  const { largerModelUrl, largerModelName, largerModelKey, largerModelCeiling, largerModelFloor } = options;
  const refuse = (message: string) => {
    throw new TandemError('INVALID_OPTION', message);
  };
  if (largerModelUrl && !largerModelName)
    refuse('--larger-model-url needs --larger-model-name, the name of the model there');
  if (!largerModelUrl && (largerModelName || largerModelKey))
    refuse('a larger model needs --larger-model-url, its address');
  if (largerModelFloor >= largerModelCeiling) {
    refuse(`--larger-model-floor ${largerModelFloor} must be below --larger-model-ceiling ${largerModelCeiling}`);
  }
}

/** Never repeats the value: it may be a credential. */
function describeIssue({ code, path, message, ...rest }: z.core.$ZodIssue): string {
  if (code === 'unrecognized_keys' && 'keys' in rest) {
    return `unknown option ${rest.keys.join(', ')}; known are ${OPTION_NAMES.join(', ')}`;
  }
  const name = OPTION_NAMES.find((known) => known === path[0]);
  if (!name) return message;
  return `${flagOf(name)} (${environmentOf(name)}): ${message}; see --help`;
}
