export { type BatchCheckOptions, givesSameBits } from './batch-check.js';
export { Bundle, loadStage, loadStageBatch, MANIFEST_FILE, openBundle } from './bundle.js';
export { type ChainEngineOptions, loadChainEngine } from './chain-engine-loader.js';
export { CouplingOperators } from './coupling-operators.js';
export { answerError, beginEvents, checkMethod, json, readPost, write } from './http-answers.js';
export { chooseDevice, type DeviceChoice } from './node-device.js';
export {
  loadOnnxRuntime,
  NODE_DEVICES,
  type NodeDevice,
  onnxSessionOptions,
  type SessionOptions,
} from './onnxruntime.js';
