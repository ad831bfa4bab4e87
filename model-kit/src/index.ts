export type { Architecture, ModelDescription, TensorSource } from './architectures/architecture.js';
export { ARCHITECTURES, findArchitecture, SUPPORTED_ARCHITECTURES } from './architectures/registry.js';
export { type CachedBundleOptions, cachedBundle } from './bundle-cache.js';
export { planStages } from './bundle-plan.js';
export { type PrepareOptions, type PrepareProgress, prepareBundle } from './bundle-writer.js';
export {
  type CalibrateOptions,
  type CalibrationResult,
  calibrateBundle,
  type TextSource,
} from './calibration/calibrate-bundle.js';
export { type CalibratedThresholds, calibrateThresholds } from './calibration/calibrate-thresholds.js';
export { cutIntoBlocks, type ExitWord, type ObservedText, type TextLoss } from './calibration/observed-text.js';
export { Observer } from './calibration/observer.js';
export { chooseBet, fixedSequence, type RiskTest, riskPValue } from './calibration/risk-test.js';
export { lossUnder, NEVER, type ScoredText, scoreText } from './calibration/scores.js';
export { sampleTexts, type ToldText, tellTexts } from './calibration/told-text.js';
export {
  type Checkpoint,
  type CheckpointFile,
  type CheckpointLabels,
  checkpointFromWeights,
  loadWeights,
  type TensorName,
  tensorShape,
} from './checkpoint.js';
export { type FitOptions, type FittedExit, fitExits } from './exit-heads/fit-exits.js';
export { foldExits, rawExits, writeExits } from './exit-heads/fold-exits.js';
export { RidgeFit, toExitMap } from './exit-heads/ridge.js';
export { RowProducts } from './exit-heads/row-products.js';
export { type Estimate, estimate, readEstimate } from './hub/estimate.js';
export { type PullOptions, type PullProgress, pullCheckpoint } from './hub/pull-checkpoint.js';
export { readCheckpoint } from './huggingface-checkpoint.js';
export { decodeLlama2c, importLlama2c, importLlama2cPieces } from './llama2c.js';
export { encodeLlama2c } from './llama2c-encoder.js';
export { type ExitMap, readExitMap, withExitMap } from './onnx/exit-map.js';
export {
  type AttributeValue,
  DataType,
  GraphBuilder,
  type Initializer,
  type NodeOptions,
} from './onnx/graph-builder.js';
export { encodeModel } from './onnx/model-file.js';
export { StageWeights } from './onnx/stage-weights.js';
export { breakEvenRttMs, PLANNED_RTT_MS_MAX } from './planning/link-plan.js';
export { BLOCK_SIZES, dequantise, type QuantisedMatrix, quantise } from './quantise.js';
export { bestDrafts } from './report/conclusions.js';
export { DRAFT_LENGTHS, settledPerRound } from './report/exit-figures.js';
export { EPSILONS } from './report/exit-thresholds.js';
export { describeMachine } from './report/machine.js';
export { measureSuitability, type ReportOptions } from './report/measure-suitability.js';
export type { SuitabilityReport } from './report/suitability-report.js';
export { type VerdictFigures, verdictOf } from './report/verdict.js';
export { SAFETENSORS_HEADER_BYTES_MAX, SafetensorsFile } from './safetensors.js';
export { checkTokenizer } from './tokenizer/check-tokenizer.js';
