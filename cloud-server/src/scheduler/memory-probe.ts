import { type Clock, type EngineInfo, GREEDY, kvCapacity, limits, rowCodec, WINDOW_POSITIONS } from '@tandem/shared';
import type { Opened, StepRunner } from './step-runner.js';

/** What the devices of the engines have room for. */
export interface DeviceMemory {
  /** KV that was there at a time, counted as the budget counts it. */
  heldBytes: number;
  /** Why it was not more: nothing more was asked for, the device had no more, or trying took too long. */
  end: 'asked' | 'device' | 'time';
  /** Positions of the longest context that fitted. */
  positionsMax: number;
}

export interface MemoryProbeOptions {
  runner: StepRunner;
  clock: Clock;
  /** What is asked for. */
  bytesMax: number;
  bytesPerPosition: number;
}

/**
 * Measures at load how much KV the device holds, by holding it: contexts of the longest kind, whose memory is taken at once,
 * with a step that makes a context anew beside the old one, as every later step will. No figure of a driver says that: WebGPU
 * tells none, and what a runtime rounds up and keeps for later is in none. Several engines take their contexts in turns and hold
 * them at the same time, as they share the device later.
 *
 * On CUDA keys and values lie in the machine's memory and visit the device: there one context has to fit. Undefined on the processor.
 */
export async function measureDeviceMemory(options: MemoryProbeOptions): Promise<DeviceMemory | undefined> {
  const { runner, clock, bytesPerPosition } = options;
  const { device, contextLength } = runner.info;
  if (device === undefined || device === 'cpu') return undefined;
  const bytesOf = (positions: number) => bytesPerPosition * kvCapacity(positions, positions);
  const bytesMax = device === 'webgpu' ? options.bytesMax : Math.min(options.bytesMax, bytesOf(contextLength));
  const startedMs = clock.now();
  const memory: DeviceMemory = { heldBytes: 0, end: 'asked', positionsMax: 0 };
  const sessions: OpenSession[] = [];
  let positions = contextLength;
  let tries = 0;
  for (;;) {
    while (positions > 0 && memory.heldBytes + bytesOf(positions) > bytesMax) positions = shorter(positions);
    if (positions === 0) break;
    if (clock.now() - startedMs > limits.LOAD_PROBE_MS_MAX) {
      memory.end = 'time';
      break;
    }
    const open = await hold(runner, `memory-probe-${++tries}`, positions);
    if (open) {
      sessions.push(open);
      memory.heldBytes += bytesOf(positions);
      memory.positionsMax = Math.max(memory.positionsMax, positions);
    } else {
      memory.end = 'device';
      // What has no room for a long one may have some for a shorter one; the last crumbs are not worth a failure each.
      positions = positions > contextLength / LAST_SHARE ? shorter(positions) : 0;
    }
  }
  // An engine that died of it has forgotten its own: nothing is sent to it.
  await Promise.all(sessions.map(({ session, opened }) => runner.close(session, opened)));
  return memory;
}

/** What sessions may have of it; where keys and values only visit the device, it bounds one context and not their number. */
export function contextBudget(askedBytes: number, memory: DeviceMemory, device: EngineInfo['device']): number {
  if (memory.end !== 'device' || device !== 'webgpu') return askedBytes;
  return Math.min(askedBytes, Math.floor((memory.heldBytes * limits.DEVICE_MEMORY_PERCENT) / 100));
}

/** Positions that one session may ask for, where the device said where its end is. */
export function longestContext(memory: DeviceMemory | undefined): number | undefined {
  return memory?.end === 'device' ? memory.positionsMax : undefined;
}

interface OpenSession {
  session: string;
  opened: Opened;
}

const LAST_SHARE = 16;

/** Half as many, in whole windows: the next size of a cache. */
function shorter(positions: number): number {
  return Math.floor(positions / 2 / WINDOW_POSITIONS) * WINDOW_POSITIONS;
}

/** Opens a context and takes its memory; one that does not fit is gone again. */
async function hold(runner: StepRunner, session: string, capacity: number): Promise<OpenSession | undefined> {
  const { deviceStages, stages } = runner.info;
  const opening = {
    session,
    firstStage: deviceStages,
    endStage: stages,
    capacity,
    codec: 'f32',
    reserve: true,
  } as const;
  const opened = await runner.open(opening, NEVER);
  if (opened.kind !== 'done') return undefined;
  const open = { session, opened: opened.value };
  for (let from = 0; from < Math.min(2, capacity); from++) {
    if (await runsRow(runner, open, from)) continue;
    await runner.close(session, opened.value);
    return undefined;
  }
  return open;
}

async function runsRow(runner: StepRunner, { session, opened }: OpenSession, from: number): Promise<boolean> {
  const { deviceStages, stages, width } = runner.info;
  const input = { kind: 'encoded-rows' as const, bytes: new Uint8Array(rowCodec('f32').bytesPerRow(width)) };
  const step = { session, from, input, depth: stages - deviceStages, want: [], drafts: [], sampling: GREEDY };
  return (await runner.step(step, opened, NEVER)).kind === 'done';
}

const NEVER = new AbortController().signal;
