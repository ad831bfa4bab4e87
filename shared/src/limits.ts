/**
 * Every limit of the system, with its unit and its reason. docs/LIMITS.md is checked against this table.
 * Relations between limits are asserted by tests/unit/limits.test.ts.
 */

/** Largest control map of a frame. A verdict of 64 tokens takes about 600 bytes; more is a mistake or an attack. */
export const CONTROL_BYTES_MAX = 16_384;

/** Largest frame. 8 MiB hold 1,024 rows of width 4,096 as f16; longer contexts are sent in several forwards. */
export const FRAME_BYTES_MAX = 8 * 1024 * 1024;

/** Rows or token ids in one `context-forward`: bounds one engine call, so that others get their turn. */
export const FORWARD_ROWS_MAX = 1_024;

/** Largest magnitude of a number in a row: the largest that f16 has. Real rows stay below a thousand. */
export const ROW_MAGNITUDE_MAX = 65_504;

/** Positions of one forward that may ask for a verdict. Longer drafts never pay: acceptance falls geometrically. */
export const FORWARD_WANTS_MAX = 64;

/** Likeliest tokens that are told with a token, with their probabilities. All wants of a verdict fit its control map so. */
export const LOGPROBS_TOP_MAX = 5;

/** Tokens that the server may add on its own after a forward (`extend`), as in cloud-only mode. */
export const EXTEND_TOKENS_MAX = 8_192;

/** Forwards in flight per session: one running, one waiting, so that the engine never idles for a round trip. */
export const FORWARDS_IN_FLIGHT_MAX = 2;

/** Token blocks of a shared prefix that a session may declare: 64 tokens each, so a system prompt of 4,096 tokens. */
export const PREFIX_BLOCKS_MAX = 64;

/** Server: shared prefixes that are kept after the last session that had them has closed. */
export const PREFIXES_KEPT_MAX = 256;

/** Sessions of one server process, waiting ones included; memory is bounded by the context budget, this bounds tables. */
export const SESSIONS_MAX = 65_536;

/** Server: rows of one step of a long forward: a window of the stages, so one run; others get their turn behind each. */
export const PREFILL_CHUNK_ROWS = 64;

/** Server: drafts judged in one step. Few runs of right drafts are longer, and what comes after a wrong one is wasted. */
export const VERIFY_DRAFTS_MAX = 8;

/** How long a session without a connection is kept, so that a phone may lose its link in a lift. */
export const RESUME_WINDOW_MS = 120_000;

/** A connection that has not sent its `session-open` by then is closed. */
export const OPEN_TIMEOUT_MS = 10_000;

/** Client: a connection attempt that has not opened by then counts as failed. */
export const CONNECT_TIMEOUT_MS = 10_000;

/** Client: silence after which a peer that owes an answer is taken for dead; in the middle of it, it is asked for a word. */
export const SILENCE_TIMEOUT_MS = 15_000;

/** Client: the slowest uplink that is waited for, 128 kbit/s: silence is counted when what was sent must have arrived. */
export const UP_BYTES_PER_MS_MIN = 16;

/** Client: time without any answer after which even a peer that sends other words is left: it has lost the question. */
export const ANSWER_TIMEOUT_MS = 60_000;

/** Client: bytes that may wait in the transport before the next forward; with it, one frame more. */
export const SEND_QUEUE_BYTES_MAX = 1024 * 1024;

/** Client: quickest and slowest reconnect, with full jitter between (see AWS, "Exponential backoff and jitter"). */
export const RECONNECT_DELAY_MS_MIN = 100;
export const RECONNECT_DELAY_MS_MAX = 5_000;

/** Client: a connection that was open for so long has proved sound; one that ends sooner counts as a failed attempt. */
export const LINK_STABLE_MS = 2_000;

/** Client: failed attempts in a row after which the server counts as unavailable. The first try is immediate. */
export const RECONNECT_ATTEMPTS_MAX = 4;

/**
 * Client: refused handshakes in a row from which on a refusal is final. One may come of a flipped bit, since HTTP has no
 * checksum; three that do are a wrong credential or address.
 */
export const HANDSHAKE_REFUSALS_MAX = 3;

/** Longest stop sequence: bounds the text that streaming may hold back. */
export const STOP_SEQUENCE_CHARS_MAX = 256;
export const STOP_SEQUENCES_MAX = 16;

/** Drafts past the settled text. More never paid in any measured profile. */
export const DRAFT_LENGTH_MAX = 32;

/** Tokens of a saved session: more than the longest context of any model that we know. */
export const SAVED_TOKENS_MAX = 16 * 1024 * 1024;

/** Server: time over which clients of a stopping server spread their moves, and what it waits on top of that. */
export const DRAIN_SPREAD_MS = 2_000;
export const DRAIN_SLACK_MS = 500;

/** How long `tandem-cloud` waits for running steps when it stops. */
export const STOP_GRACE_MS = 10_000;

/** Characters of a session id. Shorter ones could be guessed, longer ones only cost. */
export const SESSION_ID_CHARS_MIN = 16;
export const SESSION_ID_CHARS_MAX = 64;

/** Server: bytes that may wait for a client that does not read. A verdict has about 100, so this is a peer that is gone. */
export const SEND_BUFFER_BYTES_MAX = 4 * 1024 * 1024;

/** Server: parts that one WebSocket message may come in. Proxies cut messages into pieces of 4 KiB and more. */
export const MESSAGE_FRAGMENTS_MAX = 4_096;

/** Server: pause between keepalive pings; a connection that missed one is cut at the next. */
export const KEEPALIVE_INTERVAL_MS = 30_000;

/** Server: how long a peer may take to answer a close. */
export const CLOSE_TIMEOUT_MS = 5_000;

/** Server: how long a peer may take to send its HTTP headers. */
export const HTTP_HEADERS_TIMEOUT_MS = 5_000;

/** Server: how long an identity provider may take to send its public keys. */
export const JWKS_TIMEOUT_MS = 5_000;

/** Server: requests whose token is being looked at. More are told to come again: each holds a socket and no credential. */
export const VERIFICATIONS_MAX = 256;

/** Server: bytes that a connection may send before its `session-open` is complete: one control map, its header and masks. */
export const OPEN_BYTES_MAX = 32_768;

/** Server: how long a message may take from its first byte to its last. Eight MiB over a slow uplink take a minute. */
export const MESSAGE_TIMEOUT_MS = 90_000;

/** Server: TCP connections at a time, of whatever kind. File descriptors end at twice that on many systems. */
export const CONNECTIONS_MAX = 32_768;

/** Server: connections that wait to be accepted. Node's 511 loses clients when many come back at once. */
export const LISTEN_BACKLOG = 4_096;

/** Server: what a refused client is told to wait. */
export const BUSY_RETRY_AFTER_MS = 1_000;

/** Server: engine failures in a row that one connection's forwards may meet before it is closed. */
export const ENGINE_RETRIES_MAX = 3;

/** Server: waits between starts of an engine that keeps dying. The first restart is immediate. */
export const ENGINE_RESTART_DELAY_MS_MIN = 100;
export const ENGINE_RESTART_DELAY_MS_MAX = 5_000;

/** Server: an engine that ran for so long is sound; its next restart is immediate again. */
export const ENGINE_STABLE_MS = 60_000;

/** Server: how long the step behind `/ready` may take, and for how long its answer is good. */
export const READY_TIMEOUT_MS = 5_000;
export const READY_CACHE_MS = 1_000;

/** Server: how long each measurement at load may take. A GPU is through in a second; a driver in software would never be. */
export const LOAD_PROBE_MS_MAX = 5_000;

/** Server: sessions whose steps run as one, where that is quicker. More gain little for verifies, and make each run longer. */
export const BATCH_SLOTS = 3;
/** Server: most that can be asked for. Every slot is a copy of the nodes of attention in the graph. */
export const BATCH_SLOTS_MAX = 16;

/** Server: percent of the KV that a GPU held at load that sessions get. The rest is for steps under way and the runtime's own pools. */
export const DEVICE_MEMORY_PERCENT = 80;

/** Server: how often the live page's figures are taken. */
export const DASHBOARD_INTERVAL_MS = 1_000;

/** Server: how many of them are kept: ten minutes, about 130 KB. */
export const DASHBOARD_SAMPLES_MAX = 600;

/** Longest prompt of `/v1/completions`, in UTF-16 units: several characters for each position of the longest context. */
export const COMPLETION_PROMPT_CHARS_MAX = 1_000_000;

/** Largest body of a completion request: a full prompt, escaped. */
export const COMPLETION_BODY_BYTES_MAX = 8 * 1024 * 1024;

/** Completions at a time; each holds a KV cache of all layers. More are told to come again. */
export const COMPLETIONS_MAX = 32;

/** Local endpoint: requests that wait for a session. More are told to come again. */
export const ENDPOINT_WAITING_MAX = 64;

/** Tokens of a larger model in one `passage`; after each the small model is asked whether it is sure again. */
export const PASSAGE_TOKENS_MAX = 8;

/** Characters of a larger model's name on the wire. */
export const MODEL_NAME_CHARS_MAX = 128;

/** Passages that a server has under way at the larger model; where all are taken, the small model goes on alone. */
export const PASSAGES_MAX = 64;

/** How long a larger model may write at one passage, taken from or not. */
export const PASSAGE_LIFETIME_MS = 60_000;

/** Text of a larger model that may wait unbroken by a space before it becomes tokens: a word, or a line of Chinese. */
export const PASSAGE_WORD_CHARS_MAX = 48;

/** Server: failures of the larger model in a row after which it is left alone, and for how long. */
export const LARGER_MODEL_FAILURES_MAX = 2;
export const LARGER_MODEL_COOL_DOWN_MS = 30_000;
/** Browser: how long to wait for a manifest that is stored already, before the stored one is taken. */
export const MANIFEST_TIMEOUT_MS = 3_000;

/** Browser: bytes that are written to storage at once: few enough to lose little, enough to be quick. */
export const STORE_CHUNK_BYTES = 1024 * 1024;

/** Browser: attempts in a row that bring no new byte, after which a download fails. */
export const DOWNLOAD_ATTEMPTS_MAX = 5;
