/**
 * Inner parts for Tandem's own tests and benchmarks (`@tandem/edge/testing`). No promise of stability: an app that
 * needs one of these should ask for it to become public.
 */

export { loadTokenizer } from '@tandem/shared/tokenizer';
export { openDeviceModel } from '#platform';
export { MemoryStore } from './browser/blob-store.js';
export { gpuObstacle } from './browser/gpu-obstacle.js';
export { KernelNote } from './browser/kernel-note.js';
export { configureWasmRuntime, WASM_SESSION_OPTIONS } from './browser/onnxruntime-wasm.js';
export { removeStaleFiles } from './browser/stored-manifest.js';
export { ChatTemplate, readChatTemplate } from './chat/chat-template.js';
export { Acceptance } from './control/acceptance.js';
export { Controller, type ControllerOptions, type Moment } from './control/controller.js';
export { type Action, nextAction, type Situation } from './control/next-action.js';
export { RecoveringEngine } from './engine/recovering-engine.js';
export { EventStream, type SessionEvent } from './events.js';
export { type Decision, decide, MODES } from './exit/decision.js';
export { portOf } from './host/host-port.js';
export { ModelHost } from './host/model-host.js';
export { Branch } from './ledger/branch.js';
export { Ledger } from './ledger/ledger.js';
export type { LedgerEntry } from './ledger/ledger-entry.js';
export type { Forward, LedgerChange, LineMark } from './ledger/ledger-types.js';
export { applyPassage } from './ledger/passage.js';
export { RowStore } from './ledger/row-store.js';
export { Upstream, type UpstreamKind } from './ledger/upstream.js';
export type { Ask } from './link/ask.js';
export { CloudLink, type LinkHandlers, type LinkOptions } from './link/cloud-link.js';
export { CloudPeer, type CloudPeerOptions, type SessionDeclaration } from './link/cloud-peer.js';
export { LinkMeter } from './link/link-meter.js';
export { SharedPrefix } from './link/shared-prefix.js';
export { type WebSocketTarget, webSocketConnect } from './link/web-socket-transport.js';
export {
  cloudOptionsSchema,
  generateOptionsSchema,
  loadOptionsSchema,
  parseOptions,
  sessionOptionsSchema,
} from './options.js';
export { type DecodeRun, decode } from './session/decode-loop.js';
export { Drafter, type DrafterOptions } from './session/drafter.js';
export { kernelFingerprint } from './session/kernel-fingerprint.js';
export { LineSwitch } from './session/line-switch.js';
export { PrefixCache } from './session/prefix-cache.js';
export {
  checkModel,
  checkPolicy,
  readSavedSession,
  restoreText,
  type SavedSession,
} from './session/restore-session.js';
export { saveSession } from './session/saved-session.js';
export { Session } from './session/session.js';
export type { SessionParts } from './session/session-parts.js';
