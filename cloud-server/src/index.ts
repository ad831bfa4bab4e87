export { ContextCache } from './context/context-cache.js';
export { type EngineSource, fixedEngine } from './engine/engine-source.js';
export type { EngineProcess } from './engine/engine-supervisor.js';
export { LOG_LEVELS, type Log, type LogFields, type LogLevel } from './log.js';
export { METRICS } from './metrics/metric-table.js';
export { type Metrics, NO_METRICS } from './metrics/metrics.js';
export {
  environmentOf,
  flagOf,
  OPTION_NAMES,
  OPTION_ROWS,
  type ServerOptions,
  serverOptionsSchema,
} from './options.js';
export { EnginePool } from './scheduler/engine-pool.js';
export { Scheduler } from './scheduler/scheduler.js';
export type { Outcome, Placement, ScheduledStep, StepRunner, Turn } from './scheduler/step-runner.js';
export { type CloudServer, type ServerParts, startServer } from './server.js';
export type { Visitor } from './sessions/client-connection.js';
export { CLOSE_CODES, closeCodeOf } from './sessions/close-codes.js';
export { type ConnectionHandlers, createSessionHost, type SessionHost } from './sessions/session-host.js';
export type { SessionTableOptions } from './sessions/session-table.js';
export { type TenantLimits, TenantQuotas } from './sessions/tenant-quotas.js';
