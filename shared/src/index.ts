import * as limits from './limits.js';

export { f16Codec } from './codec/f16-codec.js';
export { f32Codec } from './codec/f32-codec.js';
export { int8Codec } from './codec/int8-codec.js';
export { ROW_CODECS, rowCodec, throughCodec } from './codec/registry.js';
export { bytesPerRow, defaultCodec } from './codec/row-bytes.js';
export { ROW_CODEC_NAMES, type RowCodec, type RowCodecName } from './codec/row-codec.js';
export { bytesPerTokenId, decodeTokenIds, encodeTokenIds } from './codec/token-ids.js';
export { ChainEngine, type StageBatches, type StageModelSource } from './engine/chain-engine.js';
export {
  type BatchFigures,
  type BatchInfo,
  type Choice,
  type CopyRequest,
  type Engine,
  type EngineInfo,
  type EngineInput,
  type EngineSession,
  NO_DRAFT,
  type StepOutcome,
  type StepRequest,
  type StepResult,
} from './engine/engine.js';
export { engineInfo } from './engine/engine-info.js';
export {
  connectEngine,
  type EnginePort,
  fromWireError,
  serveEngine,
  toWireError,
  type WireError,
} from './engine/engine-port.js';
export { generateUnsplit, type UnsplitOptions } from './engine/unsplit.js';
export { ERROR_MEANINGS } from './error-meanings.js';
export {
  assert,
  ERROR_CODES,
  type ErrorCode,
  isTandemError,
  TandemError,
  type TandemErrorOptions,
} from './errors.js';
export {
  type Arithmetic,
  type BiasedTensor,
  type LayerArithmetic,
  llamaArithmetic,
  type RotaryAngles,
} from './model/arithmetic.js';
export {
  CALIBRATED_POLICY_NAMES,
  type CalibratedPolicyName,
  type Calibration,
  calibrationSchema,
} from './model/calibration.js';
export { FORMATS, type Format } from './model/format.js';
export {
  BUNDLE_VERSION,
  type FileEntry,
  type Manifest,
  type ManifestStage,
  parseManifest,
} from './model/manifest.js';
export {
  type ExitWeights,
  type LayerTensor,
  type LayerWeights,
  layerTensors,
  type ModelShape,
  type ModelWeights,
} from './model/model-weights.js';
export { ReferenceStageModel, type ReferenceStageOptions } from './model/reference-transformer.js';
export { type RopeTables, ropeTables, rotaryTables } from './model/rope.js';
export { crc32 } from './numeric/crc32.js';
export { floatsToHalves, floatToHalf, halfToFloat, halvesToFloats } from './numeric/half.js';
export { type DecodeCosts, draftFloor, draftThreshold, sendThreshold, tokensPay } from './planning/decode-costs.js';
export {
  type DraftBehaviour,
  type PlannedMode,
  plannedCosts,
  plannedDraftsPerForward,
  predictMsPerToken,
} from './planning/predict.js';
export { PROFILES, type Profile, stepMs } from './planning/profile.js';
export { unixMilliseconds, unixSeconds } from './platform/calendar.js';
export { type Clock, systemClock } from './platform/clock.js';
export { newId } from './platform/ids.js';
export { type Random, seededRandom, systemRandom } from './platform/random.js';
export {
  decodeFrame,
  encodeFrame,
  type Frame,
  HEADER_BYTES,
  KINDS,
  type MessageKind,
} from './protocol/frame.js';
export {
  CONTEXT_KINDS,
  type ContextKind,
  CREDENTIAL_PREFIX,
  LARGER_MODEL_CONSENTS,
  MESSAGE_SCHEMAS,
  type Message,
  type MessageOf,
  type Messages,
  SESSION_PATH,
  SUBPROTOCOL,
} from './protocol/messages.js';
export { PREFIX_BLOCK_TOKENS, prefixBlocks } from './protocol/prefix-blocks.js';
export { decodeMessage, encodeMessage } from './protocol/wire.js';
export { type Evidence, gatherEvidence } from './sampling/evidence.js';
export { GUMBEL_MAX, gumbelNoise, HASH_BELOW, noiseKey, noiseOf } from './sampling/gumbel-noise.js';
export { LOGPROB_MIN, logprobsOf, packLogprobs, type TokenLogprobs, unpackLogprobs } from './sampling/logprobs.js';
export { argmax, chooseRanked, chooseToken, type RankedChoice } from './sampling/sampler.js';
export { GREEDY, type SamplingSettings, samplingSettingsSchema } from './sampling/settings.js';
export { kvCapacity, WINDOW_POSITIONS } from './stage/kv-cache.js';
export type { OnnxRuntime } from './stage/onnx-runtime.js';
export type { OnnxStageParts } from './stage/onnx-stage.js';
export { createOnnxStageModel, OnnxStageModel, type OnnxStageOptions } from './stage/onnx-stage-model.js';
export { type OnnxStageShape, onnxStageShape } from './stage/onnx-stage-shape.js';
export { RESIDENT_OUTPUTS, residentGraph } from './stage/resident-graph.js';
export { hasIndependentRows } from './stage/row-independence.js';
export { smallestModel } from './stage/smallest-model.js';
export type { Stage, StageBatch, StageForward, StageInput, StageModel, StageOutput, StageTail } from './stage/stage.js';
export { type ChainOutput, type Cut, StageChain } from './stage/stage-chain.js';
export { createMemoryPipe, type MemoryPipe } from './transport/memory-transport.js';
export type { Connect, Transport, TransportHandlers } from './transport/transport.js';
export { limits };
