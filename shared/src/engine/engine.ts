import type { RowCodecName } from '../codec/row-codec.js';
import type { Evidence } from '../sampling/evidence.js';
import type { TokenLogprobs } from '../sampling/logprobs.js';
import type { SamplingSettings } from '../sampling/settings.js';

/**
 * What runs stages for sessions: in a worker on the device, in a child process on the server, in process in tests.
 * Small things cross this border (token ids, evidence, encoded rows); logits and KV never do.
 */
export interface Engine {
  readonly info: EngineInfo;
  /** Makes room for a session. @throws TandemError SERVER_BUSY, INVALID_OPTION */
  open(session: EngineSession): Promise<void>;
  /** Truncate, append, run, choose. Idempotent in the sense of the protocol: `from` says where the input belongs. */
  step(request: StepRequest): Promise<StepResult>;
  /**
   * The same for several sessions as one run, bit for bit: up to `info.batch.slots` requests, each of another session. The outcomes
   * come in their order; one that fails leaves the others alone. Only engines whose `info` has `batch` have it.
   */
  stepTogether?(requests: readonly StepRequest[]): Promise<StepOutcome[]>;
  /** Gives back what `stepTogether` needs; it must not be called any more. */
  dropBatches?(): Promise<void>;
  /**
   * Copies the first positions of `source` into `target`, which is open, of the same stages and empty. Returns how many:
   * none when the source is not there any more. Engines without it run the rows again.
   */
  copy?(request: CopyRequest): Promise<number>;
  /** Zeroes and frees. Unknown ids are ignored. */
  close(session: string): Promise<void>;
  dispose(): Promise<void>;
}

export interface EngineInfo {
  /** Manifest fingerprint. */
  model: string;
  format: string;
  width: number;
  vocabularySize: number;
  contextLength: number;
  /** Stages of the whole model. */
  stages: number;
  /** Stages before the cut. */
  deviceStages: number;
  /** What they run on and, where there was a choice, why. */
  backend?: string;
  /** The same in one word; on `webgpu` keys and values are kept there. */
  device?: 'cpu' | 'cuda' | 'webgpu';
  /** Undefined: one session a step. */
  batch?: BatchInfo;
}

/** How an engine runs the steps of several sessions as one. */
export interface BatchInfo {
  /** Sessions at once; 1 where more are not possible, or not worth it. */
  slots: number;
  /** From so many sessions on it is done; more than `slots`: never. */
  from: BatchFigures;
  /** How many times quicker all slots at once are than one after the other; once that was measured. */
  gain?: BatchFigures;
  /** What was measured or asked for, or what stands in the way. */
  why: string;
}

/** By what the sessions bring. */
export interface BatchFigures {
  /** One row each, as `cloud-only` sessions do. */
  singles: number;
  /** Several drafts each to verify. */
  verifies: number;
}

export interface EngineSession {
  session: string;
  /** Stage indices `[firstStage, endStage)` of the model that this session runs. */
  firstStage: number;
  endStage: number;
  capacity: number;
  /** The codec that rows pass at the cut, wherever the cut lies in this chain. */
  codec: RowCodecName;
  /** Takes the memory of its whole capacity with the first step, not as it grows: to find out whether it is there. */
  reserve?: boolean;
}

export interface CopyRequest {
  source: string;
  target: string;
  /** Positions at most. */
  length: number;
}

/** No token id: a row is only to be judged. */
export const NO_DRAFT = -1;

export interface StepRequest {
  session: string;
  /** First of all, in order: exchange everything from these positions on for what the last exchange there put aside. */
  exchange?: readonly number[];
  /** The chain forgets everything from this position on, then appends `input`. */
  from: number;
  input?: EngineInput;
  /** How many of the session's stages to bring up to date, counted from its first. */
  depth: number;
  /** Ascending positions whose next token is to be chosen. */
  want: number[];
  /**
   * Drafts for the tokens after `want`; choosing ends at the first that differs, and the chain is truncated behind it.
   * NO_DRAFT stands where there is none.
   */
  drafts: number[];
  sampling: SamplingSettings;
  /** False: `evidence` of the choices is that of an engine that is sure of nothing; saves a pass of exponentials. Default true. */
  needsEvidence?: boolean;
}

export type EngineInput =
  /** To a session that begins behind the cut: its rows are made here, by the stages before it; only from position 0 on. */
  | { kind: 'tokens'; tokens: Int32Array /* (n) */ }
  /** Rows at the cut in the session's codec. */
  | { kind: 'encoded-rows'; bytes: Uint8Array };

export interface StepResult {
  /** One per wanted position, up to and including the first that differs from its draft. */
  choices: Choice[];
  mismatch: boolean;
  /** Rows that newly came out at the cut, encoded, if the session ends there and was run to its end. */
  encodedRows: Uint8Array;
  /** Position of the first of `encodedRows`. */
  rowsFrom: number;
  /** Positions in the chain afterwards. */
  length: number;
  engineMs: number;
}

/** What became of one of several steps. */
export type StepOutcome = StepResult | Error;

export interface Choice {
  /** Row that the choice rests on; the token stands at `row + 1`. */
  row: number;
  token: number;
  /** What would have been chosen if not `token`: the first guess when it proves wrong. */
  second: number;
  evidence: Evidence;
  /** Where the sampling settings ask for them. */
  logprobs?: TokenLogprobs;
  /** Cosine between the row before and after the head's stage; 0 where that stage reads token ids. */
  rowSimilarity: number;
}
