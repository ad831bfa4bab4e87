import { randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';
import { type Clock, type Format, type Manifest, systemClock, TandemError } from '@tandem/shared';
import { openBundle } from '@tandem/shared/node';
import { ContextCache } from './context/context-cache.js';
import { kvBytesPerPosition } from './context/kv-bytes.js';
import { Dashboard } from './dashboard/dashboard.js';
import type { EngineProcessOptions } from './engine/child-process-engine.js';
import { type EngineFigures, measureEngines } from './engine/engine-figures.js';
import { EngineFleet } from './engine/engine-fleet.js';
import type { EngineProcess } from './engine/engine-supervisor.js';
import { adminCheck } from './gateway/admin.js';
import type { AdmissionRules } from './gateway/admission.js';
import { checkTokens, parseKey } from './gateway/credentials.js';
import { Doorkeeper } from './gateway/doorkeeper.js';
import { type Gateway, openGateway } from './gateway/gateway.js';
import { createTokenVerifier, type TokenVerifier } from './gateway/json-web-tokens.js';
import { Readiness } from './health.js';
import { createLog, type Log } from './log.js';
import type { GaugeReadings } from './metrics/metrics.js';
import { createServerMetrics, type ServerMetrics } from './metrics/server-metrics.js';
import { hasCredentials, type ParsedServerOptions, parseServerOptions, type ServerOptions } from './options.js';
import { longestContext } from './scheduler/memory-probe.js';
import { describeServer } from './server-info.js';
import { createSessionHost, type SessionHost } from './sessions/session-host.js';
import { TenantQuotas } from './sessions/tenant-quotas.js';
import { openTextSide, type TextSide } from './text-side.js';
import { openTelemetry } from './tracing.js';

export const VERSION: string = createRequire(import.meta.url)('../package.json').version;

/** A running server. */
export interface CloudServer {
  /** For `cloud.url` of a device: `ws://127.0.0.1:8787`. */
  readonly url: string;
  readonly port: number;
  /** Name of the served model, and the weight format. */
  readonly model: string;
  readonly format: Format;
  /** Processes that run engines at this moment. */
  readonly engineProcessIds: readonly number[];
  /** Sends clients away, finishes running steps, frees everything: DRAIN_SPREAD_MS and two STOP_GRACE_MS at most. */
  close(): Promise<void>;
}

/** Parts that a test may bring along. */
export interface ServerParts {
  launchEngine?: () => EngineProcess;
  clock?: Clock;
  log?: Log;
  /** 32 bytes; default: drawn anew by every process. */
  prefixSecret?: Uint8Array;
}

/**
 * Starts a server in this process, and its engine in a child process. Resolves when it serves.
 *
 * ```ts
 * const server = await startServer({ model: 'models/tales/bundle', port: 0 });
 * const session = await model.createSession({ cloud: { url: server.url } });
 * ```
 *
 * Codes: INVALID_OPTION (also for a port in use), BUNDLE_NOT_FOUND, BUNDLE_CORRUPT, ENGINE_UNAVAILABLE, ENGINE_FAILED.
 */
export async function startServer(options: ServerOptions, parts: ServerParts = {}): Promise<CloudServer> {
  const parsed = parseServerOptions(options);
  const bundle = await openBundle(parsed.model);
  const { manifest } = bundle;
  const format = chooseFormat(manifest, parsed.format);
  const clock = parts.clock ?? systemClock;
  const log = parts.log ?? createLog(parsed.logLevel);
  const engine = engineOptions(parsed, format);
  const progress: Progress = { state: 'starting' };
  const facts = { version: VERSION, manifest, format, options: parsed };
  const metrics = createServerMetrics(clock, () => readGauges(fleet, cache, progress, textSide));
  const cache = new ContextCache(parsed.contextMib * 2 ** 20, metrics);
  const { engines: count, batchSessions: batch } = parsed;
  const fleet = new EngineFleet({ count, engine, batch, launch: parts.launchEngine, clock, log, metrics });
  const scheduler = fleet.pool;
  const readiness = new Readiness(scheduler, clock);
  const doorkeeper = new Doorkeeper(rulesOf(parsed, log));
  const textSide = await openTextSide({ bundle, options: parsed, scheduler, doorkeeper, clock, log, metrics });
  // The port before the engine: a port in use is told at once, and a probe sees a server that starts.
  const gateway = await openGateway({
    host: parsed.host,
    port: parsed.port,
    doorkeeper,
    metrics,
    answers: {
      info: () => describeServer({ ...facts, engine: progress, contextBytesMax: cache.budgetBytes }),
      metrics: () => metrics.expose(),
      isAdmin: adminCheck(parsed),
      dashboard: new Dashboard(metrics.live),
      ready: async () =>
        progress.state === 'serving'
          ? readiness.check()
          : { isReady: false, reason: `the server is ${progress.state}` },
      completions: () => (progress.state === 'starting' ? undefined : textSide.door),
    },
    clock,
    log,
  });
  try {
    await fleet.start();
    Object.assign(progress, await measureEngines({ runner: scheduler, cache, manifest, clock, log }));
  } catch (error) {
    await gateway.close();
    throw error;
  }
  const host = createSessionHost({
    scheduler,
    cache,
    overcommit: parsed.contextOvercommit,
    prefixSecret: parts.prefixSecret ?? randomBytes(32),
    drawResumeToken: () => randomBytes(16).toString('base64url'),
    quotas: quotasOf(parsed, clock),
    kvBytesPerPosition: kvBytesPerPosition(manifest),
    positionsMax: longestContext(progress.deviceMemory),
    eosTokenIds: manifest.eosTokenIds,
    sessionsMax: parsed.sessionsMax,
    resumeWindowMs: parsed.resumeWindowMs,
    largerModel: textSide.largerModel,
    clock,
    log,
    metrics,
    tracing: openTelemetry(VERSION),
  });
  progress.host = host;
  gateway.serve(host);
  metrics.live.start();
  progress.state = 'serving';
  return runningServer({ gateway, host, textSide, fleet, metrics, progress, model: manifest.name, format });
}

function engineOptions({ model, device, threads }: ParsedServerOptions, format: Format): EngineProcessOptions {
  return { directory: model, format, device, ...(threads ? { threads } : {}) };
}

interface Progress extends Partial<EngineFigures> {
  state: 'starting' | 'serving' | 'stopping';
  host?: SessionHost;
}

interface RunningParts {
  gateway: Gateway;
  host: SessionHost;
  textSide: TextSide;
  fleet: EngineFleet;
  metrics: ServerMetrics;
  progress: Progress;
  model: string;
  format: Format;
}

function runningServer(parts: RunningParts): CloudServer {
  const { gateway, fleet, progress, model, format } = parts;
  const address = gateway.host.includes(':') ? `[${gateway.host}]` : gateway.host;
  let stopped: Promise<void> | undefined;
  return {
    url: `ws://${address}:${gateway.port}`,
    port: gateway.port,
    model,
    format,
    get engineProcessIds() {
      return fleet.processIds;
    },
    close() {
      progress.state = 'stopping';
      stopped ??= stop(parts);
      return stopped;
    },
  };
}

async function stop({ gateway, host, textSide, fleet, metrics }: RunningParts): Promise<void> {
  void gateway.stop();
  await Promise.all([host.drain(), textSide.stop()]);
  host.dispose();
  metrics.live.stop();
  await Promise.all([gateway.close(), fleet.stop()]);
}

function chooseFormat({ formats }: Manifest, asked: string | undefined): Format {
  const format = asked === undefined ? formats[0] : formats.find((known) => known === asked);
  if (format) return format;
  throw new TandemError('INVALID_OPTION', `--format ${asked} is not in the bundle; it has ${formats.join(', ')}`);
}

function rulesOf(options: ParsedServerOptions, log: Log): AdmissionRules {
  return {
    credentials: checkTokens(options.token, options.key.map(parseKey), hasCredentials(options)),
    allowedOrigins: options.allowOrigin,
    verifyToken: verifierOf(options, log),
  };
}

function verifierOf({ jwksUrl, jwtIssuer, jwtAudience }: ParsedServerOptions, log: Log): TokenVerifier | undefined {
  if (jwksUrl === undefined) return undefined;
  return createTokenVerifier({ jwksUrl, issuer: jwtIssuer, audience: jwtAudience, log });
}

function quotasOf(options: ParsedServerOptions, clock: Clock): TenantQuotas {
  const { tenantSessionsMax, tenantTokensPerMinute, tenantBytesPerMinute } = options;
  return new TenantQuotas(
    {
      sessionsMax: tenantSessionsMax,
      tokensPerMinute: tenantTokensPerMinute,
      bytesPerMinute: tenantBytesPerMinute,
    },
    clock,
  );
}

function readGauges(
  { pool }: EngineFleet,
  { bytes, budgetBytes }: ContextCache,
  { host, deviceMemory }: Progress,
  { largerModel }: TextSide,
): GaugeReadings {
  const detached = host?.detached ?? 0;
  return {
    tandem_sessions: { connected: (host?.sessions ?? 0) - detached, detached },
    tandem_connections: host?.connections ?? 0,
    tandem_queue_length: pool.queued,
    tandem_engines: pool.engines,
    tandem_context_bytes: { ...bytes },
    tandem_context_budget_bytes: budgetBytes,
    tandem_device_held_bytes: deviceMemory?.heldBytes ?? 0,
    tandem_passages_writing: largerModel?.state.writing ?? 0,
    tandem_larger_model_left_alone: Number(largerModel?.state.isLeftAlone ?? false),
  };
}
