/**
 * Inner parts for Tandem's own tests and benchmarks (`@tandem/cloud/testing`). No promise of stability: a server that
 * needs one of these should ask for it to become public.
 */

export { readCommandLine } from './command-line.js';
export { LiveFigures } from './dashboard/live-figures.js';
export { LogHistogram } from './dashboard/log-histogram.js';
export { appraiseBatch } from './engine/batch-worth.js';
export { type EngineProcessOptions, forkEngine } from './engine/child-process-engine.js';
export { DeviceEngine } from './engine/device-engine.js';
export { measureEngines } from './engine/engine-figures.js';
export { EngineSupervisor } from './engine/engine-supervisor.js';
export { type Admission, admit } from './gateway/admission.js';
export { checkTokens, parseKey } from './gateway/credentials.js';
export { Doorkeeper } from './gateway/doorkeeper.js';
export { Readiness } from './health.js';
export { CircuitBreaker } from './larger-model/circuit-breaker.js';
export {
  type CompletionEndpoint,
  CompletionFailure,
  type CompletionOrder,
  type CompletionText,
} from './larger-model/completion-client.js';
export {
  type HandOffPolicy,
  type RollingEntropyOptions,
  rollingEntropyHandOff,
} from './larger-model/hand-off-policy.js';
export { LargerModel, type LargerModelOptions } from './larger-model/larger-model.js';
export { Passage, wholeWordsLength } from './larger-model/passage.js';
export { createPrometheusMetrics } from './metrics/prometheus.js';
export { environmentOf, flagOf, OPTION_NAMES, parseServerOptions } from './options.js';
export { FairQueue, INTERACTIVE_RUN_MAX } from './scheduler/fair-queue.js';
export { contextBudget, type DeviceMemory, longestContext, measureDeviceMemory } from './scheduler/memory-probe.js';
export { type Declaration, readForward } from './sessions/forward.js';
export { HandOff } from './sessions/hand-off.js';
export { NO_TRACING, openTelemetry } from './tracing.js';
