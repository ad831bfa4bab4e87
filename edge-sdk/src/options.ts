import {
  type Connect,
  LARGER_MODEL_CONSENTS,
  ROW_CODEC_NAMES,
  samplingSettingsSchema,
  TandemError,
} from '@tandem/shared';
import * as limits from '@tandem/shared/limits';
import { integer, list, number, text } from '@tandem/shared/schema';
import * as z from 'zod/mini';
import type { LoadProgress } from './delivery/load-progress.js';
import { MODES } from './exit/decision.js';
import type { ExitPolicy } from './exit/exit-policy.js';
import { DEVICES, type DeviceWorker, type RuntimeName, STORAGES } from './platform.js';

/** Options as the caller writes them, checked once, here. Unknown names are refused. */

const deliveryOptions = {
  /** Weight format, as in the manifest; default: the bundle's first, in browsers `f16` where there is one. */
  format: z.optional(z.enum(['f32', 'f16', 'q8', 'q4'])),
  /** Browser: where the files are kept; `auto` takes the origin's private file system, else the Cache API, else memory. */
  storage: z._default(z.enum(STORAGES), 'auto'),
  /**
   * Whether sessions run in a worker with the engine, so that only text comes to the caller's thread: by default in pages. `false`
   * keeps them there, `'shared'` is one worker and one model for all tabs of the origin. Browser: an address is that of the engine's worker script, and the other scripts lie beside it; default:
   * where the bundler put them. A function starts the engine's worker itself; it cannot cross, so sessions stay.
   */
  worker: z.optional(
    z.union([
      z.boolean(),
      z.string(),
      z.instanceof(URL),
      z.custom<(runtime: RuntimeName) => DeviceWorker>(isFunction, 'a function'),
    ]),
  ),
  onProgress: z.optional(z.custom<(progress: LoadProgress) => void>(isFunction, 'a function')),
  signal: z.optional(z.instanceof(AbortSignal)),
};

/** Of `EdgeModel.availability` and `EdgeModel.download`. */
export const deliveryOptionsSchema = z.strictObject(deliveryOptions);

export const loadOptionsSchema = z.strictObject({
  ...deliveryOptions,
  /**
   * Where the device stages run. Node has `cpu`, `cuda` and `webgpu`, browsers have `wasm` and `webgpu`; `auto` takes the
   * best that starts. What does not start is replaced, and `model.backend` says why.
   */
  device: z._default(z.enum(DEVICES), 'auto'),
  /** Threads of one inference step; default: in Node all cores but at most 4, in browsers 1. */
  threads: z.optional(integer(1, 256)),
  /** Browser: address of onnxruntime-web's `.wasm` file; default: where the bundler put it, next to the worker. */
  runtimeUrl: z.optional(z.union([z.string(), z.instanceof(URL)])),
});

const ADDRESS = 'a ws:// or wss:// address, or a function that returns one';
export const addressSchema = z.url({ protocol: /^wss?$/, error: ADDRESS });

export const cloudOptionsSchema = z.strictObject({
  /** Address of the server, `ws://…` or `wss://…`, or a function that says it anew for every connection. */
  url: z.union([addressSchema, z.custom<() => string | Promise<string>>(isFunction)], ADDRESS),
  /** Credential, or a function that mints a fresh one for every connection. */
  token: z.optional(z.union([z.string(), z.custom<() => string | Promise<string>>(isFunction)])),
  /** Milliseconds without a connection after which `onCloudUnavailable` applies. */
  unavailableAfterMs: z._default(number(0), 5_000),
  /** Puts something between session and server, such as a simulated link. Called once; what it returns connects and reconnects. */
  wrapTransport: z.optional(z.custom<(connect: Connect) => Connect>(isFunction, 'a function')),
});

const exitPolicySchema = z.custom<ExitPolicy>(
  (value) => isFunction((value as ExitPolicy)?.isConfident),
  'an exit policy',
);

export const sessionOptionsSchema = z
  .strictObject({
    cloud: z.optional(cloudOptionsSchema),
    mode: z._default(z.enum(MODES), 'exact'),
    /**
     * Whether the server may hand passages at which the model is unsure to a larger one. The text so far goes to that
     * model's machine in clear, and the tokens are no longer those of the unsplit model: `never` unless you say so.
     */
    largerModel: z._default(z.enum(LARGER_MODEL_CONSENTS), 'never'),
    onCloudUnavailable: z._default(z.enum(['degrade', 'wait', 'fail']), 'degrade'),
    /** Positions that the session may come to; default: the model's context. */
    capacity: z.optional(integer(2)),
    /**
     * How the prompts of this session and of others begin, a system prompt for example. The server keeps its rows once
     * for all sessions of the same credential: later ones do not send them again. Whole blocks of 64 tokens count.
     */
    sharedPrefix: z.optional(z.string().check(z.minLength(1))),
    /** Whether this device is likely to come back after it has left: the server keeps its context longer than others'. */
    likelyToReturn: z._default(z.boolean(), false),
    /** How rows travel; default: f16, or int8 in groups for rows wider than 1,024. The text may depend on it. */
    codec: z.optional(z.enum(ROW_CODEC_NAMES)),
    /**
     * What goes up of a prompt: its rows, or token ids of which the server makes the rows; by default what is quicker, in
     * browsers rows.
     */
    promptAs: z._default(z.enum(['auto', 'rows', 'tokens']), 'auto'),
    /** Drafts that may rest on unverified drafts, at most; by default as many as pay. 0: a round trip per unsure token. */
    draftLength: z._default(integer(0, limits.DRAFT_LENGTH_MAX), limits.DRAFT_LENGTH_MAX),
    /** Chance to be of use below which nothing is drafted, even where it would pay: saves the device's energy. */
    draftFloor: z._default(number(0, 1), 0),
    /** Whether the device drafts a second continuation in case a draft is wrong. */
    branches: z._default(z.boolean(), true),
    /** What a millisecond of the server is worth in milliseconds of the user: higher means fewer, larger forwards. */
    cloudPrice: z._default(number(0, 100), 0.45),
    /** Probability from which on an exit's token counts as sure; one for all exits or one per exit. */
    threshold: z.optional(z.union([number(0, 1), list(number(0, 1), 64, 1)])),
    /**
     * Collaborative mode: largest share of a text's tokens that may be settled here and differ from the whole model's choice;
     * takes the bundle's calibrated thresholds. Default 0.01 where the bundle has them.
     */
    epsilon: z.optional(z.number().check(z.gt(0), z.lt(1))),
    /** Decides instead of `threshold`. */
    policy: z.optional(exitPolicySchema),
  })
  .check(
    z.refine((options) => options.mode === 'device-only' || options.cloud, {
      path: ['cloud'],
      error: 'this mode needs cloud: { url }; device-only needs none',
    }),
    z.refine(({ epsilon, mode }) => epsilon === undefined || mode === 'collaborative', {
      path: ['epsilon'],
      error: 'only collaborative mode accepts on the device with a guarantee; leave it out',
    }),
    z.refine(({ epsilon, threshold, policy }) => epsilon === undefined || (threshold ?? policy) === undefined, {
      path: ['epsilon'],
      error: 'it brings its own thresholds; give either epsilon or threshold or policy',
    }),
    z.refine((options) => options.mode !== 'device-only' || options.largerModel === 'never', {
      path: ['largerModel'],
      error: 'device-only opens no socket, and only a server knows a larger model; choose another mode or never',
    }),
  );

/** Of `EdgeModel.restoreSession`: what a saved session cannot hold. All else is as it was. */
export const restoreOptionsSchema = z.strictObject({
  cloud: z.optional(cloudOptionsSchema),
  onCloudUnavailable: z._default(z.enum(['degrade', 'wait', 'fail']), 'degrade'),
  /** The same that the session was created with, where it was given one. */
  policy: z.optional(exitPolicySchema),
});

export const generateOptionsSchema = z.strictObject({
  ...samplingSettingsSchema.shape,
  /** Tokens to generate at most; the end of the context ends it, too. */
  maxOutputTokens: z._default(integer(1), 128),
  /** Texts at which generation ends; they are not part of the output. */
  stopSequences: z._default(list(text(limits.STOP_SEQUENCE_CHARS_MAX, 1), limits.STOP_SEQUENCES_MAX), []),
  /** `provisional` also hands out drafts as they come, in `part.provisional`, to be shown until they are settled. */
  emit: z._default(z.enum(['settled', 'provisional']), 'settled'),
  signal: z.optional(z.instanceof(AbortSignal)),
});

export type DeliveryOptions = z.input<typeof deliveryOptionsSchema>;
export type LoadOptions = z.input<typeof loadOptionsSchema>;
export type CloudOptions = z.input<typeof cloudOptionsSchema>;
export type SessionOptions = z.input<typeof sessionOptionsSchema>;
export type RestoreOptions = z.input<typeof restoreOptionsSchema>;
export type GenerateOptions = z.input<typeof generateOptionsSchema>;
export type ParsedLoadOptions = z.output<typeof loadOptionsSchema>;
export type ParsedSessionOptions = z.output<typeof sessionOptionsSchema>;
export type ParsedGenerateOptions = z.output<typeof generateOptionsSchema>;

/** @throws TandemError INVALID_OPTION that names the option, what is wrong with it and, for a typo, what exists. */
export function parseOptions<Schema extends z.ZodMiniType>(
  schema: Schema,
  where: string,
  options: unknown,
): z.output<Schema> {
  const parsed = schema.safeParse(options ?? {});
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  if (issue.code === 'unrecognized_keys') {
    const unknown = [...issue.path, issue.keys.join(', ')].join('.');
    const known = optionNames(schema, issue.path).join(', ');
    throw new TandemError('INVALID_OPTION', `${where}: unknown option ${unknown}; known: ${known}`);
  }
  throw new TandemError('INVALID_OPTION', `${where}: ${issue.path.join('.') || 'options'}: ${issue.message}`);
}

/** Names that exist where `path` leads; nested options lie in optional objects. */
function optionNames(schema: z.ZodMiniType, path: readonly PropertyKey[]): string[] {
  let place: unknown = schema;
  for (const name of path) {
    if (place instanceof z.ZodMiniObject) place = place.shape[String(name)];
    while (place instanceof z.ZodMiniOptional || place instanceof z.ZodMiniDefault) place = place.def.innerType;
  }
  return place instanceof z.ZodMiniObject ? Object.keys(place.shape) : [];
}

function isFunction(value: unknown): boolean {
  return typeof value === 'function';
}
