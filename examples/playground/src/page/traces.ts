import type { TraceStep } from '@tandem/netsim';
import type { LinkFigures } from './link-panel.js';

const STEP_MS = 250;
const LENGTH_S = 40;

/**
 * Forty seconds on a train, made up: every eight seconds another cell, with a hand-over at its edge, and a tunnel now and then.
 * Written as a rule and not measured, so that it can be read; recordings of real links are loaded as files.
 */
export function trainRide(): TraceStep[] {
  return Array.from({ length: (LENGTH_S * 1000) / STEP_MS }, (_, index) => {
    const atMs = index * STEP_MS;
    const s = atMs / 1000;
    // 1 beside a cell's mast, 0 at its edge.
    const nearness = 0.5 + 0.5 * Math.cos((2 * Math.PI * s) / 8);
    const isTunnel = s % 20 >= 9 && s % 20 < 10.5;
    const isHandOver = s % 8 >= 3.75 && s % 8 < 4.5;
    const share = isTunnel ? 0.01 : isHandOver ? 0.05 : 0.15 + 0.85 * nearness;
    return {
      atMs,
      rttMs: Math.round(isTunnel ? 900 : isHandOver ? 400 : 190 - 140 * nearness),
      downBytesPerS: Math.round((share * 9_000_000) / 8),
      upBytesPerS: Math.round((share * 1_500_000) / 8),
    };
  });
}

/** What a trace is on average; `base` stands in for what it does not say. */
export function averageOf(trace: readonly TraceStep[], base: LinkFigures): LinkFigures {
  const mean = (value: (step: TraceStep) => number) =>
    trace.reduce((sum, step) => sum + value(step), 0) / Math.max(1, trace.length);
  return {
    rttMs: mean(({ rttMs = base.rttMs }) => rttMs),
    jitterMs: base.jitterMs,
    upBytesPerS: mean(({ upBytesPerS = base.upBytesPerS }) => upBytesPerS),
    downBytesPerS: mean(({ downBytesPerS = base.downBytesPerS }) => downBytesPerS),
  };
}
