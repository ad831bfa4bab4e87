import * as z from 'zod/mini';
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
import { integer, list, number, text } from '../platform/schema.js';
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

const epoch = integer(0, 0xffffffff);
const position = integer(0, 0xffffffff);
const tokenId = integer(0, 0xffffffff);
const modelName = text(MODEL_NAME_CHARS_MAX);
const milliseconds = number(0);

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
    model: text(128),
    /** Weight format: the same weights in q8 and in f32 tell different stories. */
    format: text(16),
    context: z.enum(CONTEXT_KINDS),
    /** Name of the codec that rows pass at the cut; with `context: tokens` the server applies it itself. */
    codec: text(32),
    /** Positions that the session may come to. */
    capacity: position,
    epoch,
    /** Hashes of the token blocks that the text will begin with (prefix-blocks.ts), for rows that another session sent. */
    prefix: z.optional(list(text(PREFIX_HASH_CHARS, PREFIX_HASH_CHARS), PREFIX_BLOCKS_MAX)),
    /** From the last `session-opened` of this session: proves that it is the same client. */
    resume: z.optional(text(RESUME_TOKEN_CHARS_MAX)),
    /** After a loss of connection this client is likely to come back: keep its context longer than others'. */
    returns: z.optional(z.boolean()),
    /** Default `never`. */
    largerModel: z.optional(z.enum(LARGER_MODEL_CONSENTS)),
    /**
     * Drawn anew for every ledger. Two devices, or two tabs, that share a session id must not take each other's rows for
     * their own: where it differs from the last connection's, the session begins with no rows.
     */
    ledger: z.optional(integer(0, 0xffffffff)),
  }),
  /** Server → client: the session is there and holds `length` rows, as of a forward of `epoch`. */
  'session-opened': z.strictObject({
    epoch,
    length: position,
    forwardsInFlight: integer(1, 64),
    /** Of these rows so many are those of the declared prefix, from another session: they need not be sent. */
    prefix: z.optional(position),
    /** Good once, for the next `session-open` of this session. */
    resume: z.optional(text(RESUME_TOKEN_CHARS_MAX)),
    /** There is a larger model, and this session allows it: forwards of rows bring `tokens` from now on. */
    largerModel: z.optional(modelName),
  }),
  /** Client → server: free the session. */
  'session-close': z.strictObject({}),
  /** Client → server: truncate to `from`, append `count` rows or ids, judge `want`, then extend. Idempotent. */
  'context-forward': z.strictObject({
    epoch,
    from: position,
    count: integer(0, FORWARD_ROWS_MAX),
    /** Ascending positions of rows whose next token is asked for. */
    want: list(position, FORWARD_WANTS_MAX),
    /** Draft for the token after each wanted row; the last may be missing. */
    drafts: list(tokenId, FORWARD_WANTS_MAX),
    sampling: z.optional(samplingSettingsSchema),
    /**
     * The payload is token ids although the session is one of rows: the server makes the rows itself, with the device's
     * stages. Only from position 0 on, for a prompt that is shorter so.
     */
    asTokens: z.optional(z.literal(true)),
    /** After judging the last row, go on alone for so many tokens (context: tokens only). */
    extend: z.optional(integer(0, EXTEND_TOKENS_MAX)),
    /** With this forward the session's first rows are those of so many declared prefix blocks: others may have them. */
    prefix: z.optional(integer(0, PREFIX_BLOCKS_MAX)),
    /** Token ids of the rows, where `session-opened` named a larger model: it reads text. */
    tokens: z.optional(list(tokenId, FORWARD_ROWS_MAX)),
  }),
  /** Server → client: the cloud's own choice after each judged row, up to and including the first that differs. */
  verdict: z.strictObject({
    epoch,
    rows: list(position, FORWARD_WANTS_MAX),
    tokens: list(tokenId, FORWARD_WANTS_MAX),
    mismatch: z.boolean(),
    /** Rows that the server holds now. */
    length: position,
    engineMs: milliseconds,
    queueMs: milliseconds,
    /** Where sampling asked for them, of every token: its log probability, then pairs of the likeliest tokens and theirs. */
    logprobs: z.optional(list(list(z.number(), 1 + 2 * LOGPROBS_TOP_MAX, 1), FORWARD_WANTS_MAX)),
    /** Row `length` goes to the larger model. The rest of this answer follows: a passage or, if none comes, a verdict. */
    handedOver: z.optional(z.boolean()),
  }),
  /** Server → client: I hold only `length` rows, send from there. */
  'context-rewind': z.strictObject({ epoch, length: position }),
  /** Server → client: a forward without wants was taken in. */
  credit: z.strictObject({ epoch, length: position }),
  ping: z.strictObject({ nonce: integer(0, 0xffffffff) }),
  pong: z.strictObject({ nonce: integer(0, 0xffffffff) }),
  /** Server → client: connect again elsewhere, within `deadlineMs`. */
  drain: z.strictObject({ deadlineMs: milliseconds }),
  /** Either way, before closing. */
  error: z.strictObject({
    code: z.enum(Object.keys(ERROR_CODES) as [ErrorCode, ...ErrorCode[]]),
    message: text(1_024),
    retryAfterMs: z.optional(milliseconds),
  }),
  /** Server → client: what a larger model wrote behind row `row`. Ends the epoch as a mismatch at that row does. */
  passage: z.strictObject({
    epoch,
    row: position,
    tokens: list(tokenId, PASSAGE_TOKENS_MAX, 1),
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
