/**
 * A stage: consecutive layers `[from, to)` of one model with the KV cache of one session.
 *
 * A model is a chain of stages. A local stage runs an ONNX graph or the reference transformer; the last stage of
 * the chain usually runs on the server. What makes the chain exact is one rule that every implementation keeps:
 * **a row's output depends on the tokens before it and on nothing else** - not on how rows were grouped into calls,
 * not on what was rolled back in between. The contract suite checks it bit for bit.
 */
export interface Stage {
  /** Positions in the KV cache. */
  readonly length: number;
  /** Positions that the KV cache may hold at most. */
  readonly capacity: number;
  /**
   * Appends `n` positions behind `length` and runs them.
   *
   * `wanted` holds ascending offsets into this call, each in `[0, n)`, of the positions whose logits are asked for;
   * it may be empty. Calls on one stage must not overlap.
   *
   * @throws TandemError CONTEXT_TOO_LONG when `length + n > capacity`; the stage is unchanged then.
   */
  forward(input: StageInput, wanted: Int32Array): Promise<StageOutput>;
  /** Makes room for so many positions at once, and not as they come. Stages without it never do. */
  reserve?(length: number): void;
  /** Forgets all positions from `length` on, in O(positions forgotten). Must be at most the current length. */
  truncate(length: number): void;
  /** A copy of the positions `[from, length)`, to be put back after others took their place. */
  copyTail(from: number): StageTail;
  /** Appends a tail that `copyTail` of this stage gave. It must begin at `length`, on the same positions before it. */
  appendTail(tail: StageTail): void;
  /** Zeroes and gives back the KV cache. */
  dispose(): void;
}

/** Keys and values of the positions `[from, from + count)`. */
export interface StageTail {
  from: number;
  count: number;
  /** Per layer, `(count, kvHeads, headDim)`; empty where they stay on a GPU. */
  keys: Float32Array[];
  values: Float32Array[];
  /** Tensors of a GPU that hold them. Belongs to the memory that made it. */
  resident?: unknown;
  /** Gives those back; whoever asked for the tail calls it when it needs it no more. */
  release?(): void;
}

/** What a stage reads: the first stage of a model token ids, every other one rows of the residual stream. */
export type StageInput =
  | { kind: 'tokens'; tokens: Int32Array /* (n) */ }
  | { kind: 'rows'; rows: Float32Array /* (n, width) */ };

export interface StageOutput {
  /** The residual stream after the stage's last layer, `(n, width)`. Belongs to the caller. */
  rows: Float32Array;
  /** Logits of the wanted positions, `(wanted.length, vocabularySize)`; empty for a stage without a head. Belongs to the caller. */
  logits: Float32Array;
}

/** The weights of one stage, loaded once; every session opens its own KV cache on them. */
export interface StageModel {
  readonly width: number;
  readonly vocabularySize: number;
  /** Whether `forward` can give logits. */
  readonly hasHead: boolean;
  /** Bytes of KV cache per position. */
  readonly kvBytesPerPosition: number;
  /** `capacity`: positions the session may come to; memory grows with use, in buckets, up to it. */
  open(capacity: number): Stage;
  dispose(): Promise<void>;
}

/** A call of `Stage.forward`, to be run together with others. */
export interface StageForward {
  stage: Stage;
  input: StageInput;
  wanted: Int32Array;
}

/** The weights of a stage once more, in a form that takes the rows of several sessions at once. */
export interface StageBatch {
  /** Sessions at once. */
  readonly slots: number;
  /** The outcome of every call, in their order, bit for bit as alone. All stages come from this stage's model, no two are the same. */
  forward(calls: readonly StageForward[]): Promise<(StageOutput | Error)[]>;
  dispose(): Promise<void>;
}
