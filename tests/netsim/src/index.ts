export {
  expectNoTokenLost,
  expectSameText,
  type HeardPart,
  type HeardResult,
  type HeardToken,
} from './expectations.js';
export { createFakeCloud, type FakeCloud, type FakeCloudOptions } from './fake-cloud.js';
export type { LinkEvent, LinkOptions, LinkStats } from './link.js';
export { LinkModel, type Passage } from './link-model.js';
export {
  type CheckedLinkProfile,
  type CutRule,
  checkLinkProfile,
  type Direction,
  type LinkProfile,
  type TraceStep,
} from './link-profile.js';
export { type Presets, presets } from './presets.js';
export { playScript, type ScriptName, type ScriptStep, type Steerable, scripts } from './script.js';
export {
  CUT_CLOSE_CODE,
  HALF_OPEN_NOTICED_MS,
  type SimulatedLink,
  type SimulateLinkOptions,
  simulateLink,
} from './simulate-link.js';
export { type LinkProxy, type ProxyOptions, startProxy } from './tcp-proxy.js';
export { parseTrace } from './trace-file.js';
export { VirtualClock, type VirtualClockOptions } from './virtual-clock.js';
