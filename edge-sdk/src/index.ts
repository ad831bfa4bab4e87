export { type ErrorCode, isTandemError, TandemError, type TokenLogprobs } from '@tandem/shared';
export type { Tokenizer } from '@tandem/shared/tokenizer';
export type { ChatMessage, ChatTemplateOptions } from './chat/chat-message.js';
export type { LoadProgress } from './delivery/load-progress.js';
export type { ConnectionState, SessionEvent } from './events.js';
export { patience, saturation } from './exit/agreement-policies.js';
export { type CalibratedOptions, calibrated } from './exit/calibrated.js';
export { decaying, latencyAware } from './exit/changing-thresholds.js';
export { allOf, anyOf } from './exit/combinators.js';
export type { Mode } from './exit/decision.js';
export type { ExitEvidence, ExitPolicy, PerExit } from './exit/exit-policy.js';
export { entropy, margin, maxProbability, rollingEntropy } from './exit/threshold-policies.js';
export type { PortTarget } from './host/host-port.js';
export type { AnySession as Session } from './host/model-api.js';
export type { HostedLoadOptions } from './host/remote-model.js';
export { type Origin, originName } from './ledger/origin.js';
export type { LinkState } from './link/cloud-link.js';
export { EdgeModel } from './model.js';
export type {
  CloudOptions,
  DeliveryOptions,
  GenerateOptions,
  LoadOptions,
  RestoreOptions,
  SessionOptions,
} from './options.js';
export type { Availability, DeviceWorker } from './platform.js';
export type {
  GeneratedToken,
  Generation,
  GenerationResult,
  GenerationTimings,
  GenerationTransfer,
  TextPart,
} from './session/generation.js';
