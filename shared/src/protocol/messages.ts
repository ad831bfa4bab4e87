import '../platform/no-eval.js';
import * as z from 'zod';
import { ERROR_CODES, type ErrorCode } from '../errors.js';
import {
  EXTEND_TOKENS_MAX,
  FORWARD_ROWS_MAX,
  FORWARD_WANTS_MAX,
  LOGPROBS_TOP_MAX,
  MODEL_NAME_CHARS_MAX,
  PASSAGE_TOKENS_MAX,
  PREFIX_BLOCKS_MAX,
} from '../limits.js';
import { samplingSettingsSchema } from '../sampling/settings.js';
import { PREFIX_HASH_CHARS } from './prefix-blocks.js';

/**
 * The control maps of the wire, one schema per message; docs/PROTOCOL.md is checked against them.
 * Numbers are only typed here; against the session's state they are checked where that state lives.
 */

/** WebSocket subprotocol: name and version of the wire. */
export const SUBPROTOCOL = 'tandem.v1';
/** A second offered "subprotocol" of this prefix carries the credential, since browsers cannot set headers. */
export const CREDENTIAL_PREFIX = 'tandem.token.';
/** Session id in the path, so that a load balancer can hash it. */
export const SESSION_PATH = '/v1/sessions/';

const epoch = z.int().min(0).max(0xffffffff);
const position = z.int().min(0).max(0xffffffff);
const tokenId = z.int().min(0).max(0xffffffff);
const modelName = z.string().max(MODEL_NAME_CHARS_MAX);
const milliseconds = z.number().min(0);

/** 128 random bits in base64url take 22. */
const RESUME_TOKEN_CHARS_MAX = 64;

/** What goes up: rows at the cut, or token ids where the server runs all stages. */
export const CONTEXT_KINDS = ['rows', 'tokens'] as const;

/** Whether the server may hand a passage to a larger model, and with it the text so far to another machine. */
export const LARGER_MODEL_CONSENTS = ['allow', 'never'] as const;

export const MESSAGE_SCHEMAS = {
  /** Client → server, first on every connection. */
  'session-open': z.strictObject({
    /** Manifest fingerprint: both sides must hold the same model. */
    model: z.string().max(128),
    /** Weight format: the same weights in q8 and in f32 tell different stories. */
    format: z.string().max(16),
    context: z.enum(CONTEXT_KINDS),
    /** Name of the codec that rows pass at the cut; with `context: tokens` the server applies it itself. */
    codec: z.string().max(32),
    /** Positions that the session may come to. */
    capacity: position,
    epoch,
    /** Hashes of the token blocks that the text will begin with (prefix-blocks.ts), for rows that another session sent. */
    prefix: z.array(z.string().length(PREFIX_HASH_CHARS)).max(PREFIX_BLOCKS_MAX).optional(),
    /** From the last `session-opened` of this session: proves that it is the same client. */
    resume: z.string().max(RESUME_TOKEN_CHARS_MAX).optional(),
    /** After a loss of connection this client is likely to come back: keep its context longer than others'. */
    returns: z.boolean().optional(),
    /** Default `never`. */
    largerModel: z.enum(LARGER_MODEL_CONSENTS).optional(),
    /**
     * Drawn anew for every ledger. Two devices, or two tabs, that share a session id must not take each other's rows for
     * their own: where it differs from the last connection's, the session begins with no rows.
     */
    ledger: z.int().min(0).max(0xffffffff).optional(),
  }),
  /** Server → client: the session is there and holds `length` rows, as of a forward of `epoch`. */
  'session-opened': z.strictObject({
    epoch,
    length: position,
    forwardsInFlight: z.int().min(1).max(64),
    /** Of these rows so many are those of the declared prefix, from another session: they need not be sent. */
    prefix: position.optional(),
    /** Good once, for the next `session-open` of this session. */
    resume: z.string().max(RESUME_TOKEN_CHARS_MAX).optional(),
    /** There is a larger model, and this session allows it: forwards of rows bring `tokens` from now on. */
    largerModel: modelName.optional(),
  }),
  /** Client → server: free the session. */
  'session-close': z.strictObject({}),
  /** Client → server: truncate to `from`, append `count` rows or ids, judge `want`, then extend. Idempotent. */
  'context-forward': z.strictObject({
    epoch,
    from: position,
    count: z.int().min(0).max(FORWARD_ROWS_MAX),
    /** Ascending positions of rows whose next token is asked for. */
    want: z.array(position).max(FORWARD_WANTS_MAX),
    /** Draft for the token after each wanted row; the last may be missing. */
    drafts: z.array(tokenId).max(FORWARD_WANTS_MAX),
    sampling: samplingSettingsSchema.optional(),
    /**
     * The payload is token ids although the session is one of rows: the server makes the rows itself, with the device's
     * stages. Only from position 0 on, for a prompt that is shorter so.
     */
    asTokens: z.literal(true).optional(),
    /** After judging the last row, go on alone for so many tokens (context: tokens only). */
    extend: z.int().min(0).max(EXTEND_TOKENS_MAX).optional(),
    /** With this forward the session's first rows are those of so many declared prefix blocks: others may have them. */
    prefix: z.int().min(0).max(PREFIX_BLOCKS_MAX).optional(),
    /** Token ids of the rows, where `session-opened` named a larger model: it reads text. */
    tokens: z.array(tokenId).max(FORWARD_ROWS_MAX).optional(),
  }),
  /** Server → client: the cloud's own choice after each judged row, up to and including the first that differs. */
  verdict: z.strictObject({
    epoch,
    rows: z.array(position).max(FORWARD_WANTS_MAX),
    tokens: z.array(tokenId).max(FORWARD_WANTS_MAX),
    mismatch: z.boolean(),
    /** Rows that the server holds now. */
    length: position,
    engineMs: milliseconds,
    queueMs: milliseconds,
    /** Where sampling asked for them, of every token: its log probability, then pairs of the likeliest tokens and theirs. */
    logprobs: z
      .array(
        z
          .array(z.number())
          .min(1)
          .max(1 + 2 * LOGPROBS_TOP_MAX),
      )
      .max(FORWARD_WANTS_MAX)
      .optional(),
    /** Row `length` goes to the larger model. The rest of this answer follows: a passage or, if none comes, a verdict. */
    handedOver: z.boolean().optional(),
  }),
  /** Server → client: I hold only `length` rows, send from there. */
  'context-rewind': z.strictObject({ epoch, length: position }),
  /** Server → client: a forward without wants was taken in. */
  credit: z.strictObject({ epoch, length: position }),
  ping: z.strictObject({ nonce: z.int().min(0).max(0xffffffff) }),
  pong: z.strictObject({ nonce: z.int().min(0).max(0xffffffff) }),
  /** Server → client: connect again elsewhere, within `deadlineMs`. */
  drain: z.strictObject({ deadlineMs: milliseconds }),
  /** Either way, before closing. */
  error: z.strictObject({
    code: z.enum(Object.keys(ERROR_CODES) as [ErrorCode, ...ErrorCode[]]),
    message: z.string().max(1_024),
    retryAfterMs: milliseconds.optional(),
  }),
  /** Server → client: what a larger model wrote behind row `row`. Ends the epoch as a mismatch at that row does. */
  passage: z.strictObject({
    epoch,
    row: position,
    tokens: z.array(tokenId).min(1).max(PASSAGE_TOKENS_MAX),
    model: modelName,
  }),
} as const;

export type Messages = { [Kind in keyof typeof MESSAGE_SCHEMAS]: z.output<(typeof MESSAGE_SCHEMAS)[Kind]> };
export type ContextKind = (typeof CONTEXT_KINDS)[number];

/** A parsed message with the payload that came along. */
export type Message = {
  [Kind in keyof Messages]: { kind: Kind; control: Messages[Kind]; payload: Uint8Array };
}[keyof Messages];

export type MessageOf<Kind extends keyof Messages> = Extract<Message, { kind: Kind }>;
