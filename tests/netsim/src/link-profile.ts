import { TandemError } from '@tandem/shared';
import { z } from 'zod';

const durationMs = z.number().nonnegative();
const meanIntervalMs = z.number().positive();
const count = z.number().int().positive();
const direction = z.enum(['up', 'down']);

/** One scheduled cut; each happens once. Times and totals count from the first connection, over all connections. */
const cutSchema = z.union([
  z.strictObject({ afterMs: durationMs }),
  /** Right after this frame has arrived. In process only: a TCP proxy does not know frames. */
  z.strictObject({ afterFrames: count, direction }),
  /** Not one byte more arrives. In process, where frames are whole, the frame across the limit is lost. */
  z.strictObject({ afterBytes: count, direction }),
]);

const traceStepSchema = z.strictObject({
  /** From the start of the trace. */
  atMs: durationMs,
  /** What is missing is the profile's. A rate of 0 lets nothing through. */
  rttMs: durationMs.optional(),
  downBytesPerS: z.number().nonnegative().optional(),
  upBytesPerS: z.number().nonnegative().optional(),
});

const linkProfileSchema = z.strictObject({
  /** Round trip of an empty frame, half of it each way. Default 0. */
  rttMs: durationMs.default(0),
  /** At most this much more per frame and way, uniformly drawn. Frames are never reordered. Default 0. */
  jitterMs: durationMs.default(0),
  /** To the client. Default: no limit. */
  downBytesPerS: z.number().positive().optional(),
  /** From the client. Default: no limit. */
  upBytesPerS: z.number().positive().optional(),
  /** Times at which nothing moves in either direction, counted from the first connection. Default none. */
  stalls: z.array(z.strictObject({ afterMs: durationMs, durationMs })).default([]),
  /** Stalls at exponentially distributed intervals. Default none. */
  randomStalls: z.strictObject({ meanIntervalMs, durationMs }).optional(),
  /** Scheduled cuts. Default none. */
  cuts: z.array(cutSchema).default([]),
  /** Cuts at exponentially distributed intervals while a connection is open. Default none. */
  randomCuts: z.strictObject({ meanIntervalMs }).optional(),
  /** How long new connections are refused after a cut. Default 0: the next one is let in at once. */
  reconnectRefusedMs: durationMs.default(0),
  /**
   * How the link changes, from the first connection on; ascending, beginning at 0. It begins anew when it ends. See
   * `parseTrace`. Default none.
   */
  trace: z
    .array(traceStepSchema)
    .min(1)
    .max(1_000_000)
    .refine((steps) => steps[0]!.atMs === 0 && steps.every(({ atMs }, i) => i === 0 || atMs > steps[i - 1]!.atMs), {
      error: 'times ascend from 0',
    })
    .refine(
      (steps) =>
        ['downBytesPerS', 'upBytesPerS'].every((rate) => steps.some((step) => step[rate as 'upBytesPerS'] !== 0)),
      {
        error: 'a link that never lets anything through; use offline',
      },
    )
    .optional(),
  /** Refuses every connection. Default false. */
  offline: z.boolean().default(false),
});

/** What a link is like from `atMs` on. */
export type TraceStep = z.input<typeof traceStepSchema>;

/** What a link is like. Everything is optional; `{}` is a perfect link. */
export type LinkProfile = z.input<typeof linkProfileSchema>;

/** A profile with all defaults filled in. */
export type CheckedLinkProfile = z.output<typeof linkProfileSchema>;

export type CutRule = CheckedLinkProfile['cuts'][number];

/** `up` leaves the client, `down` goes to it. */
export type Direction = z.infer<typeof direction>;

/** Fills in the defaults. Throws `INVALID_OPTION` on unknown keys and on values that are not allowed. */
export function checkLinkProfile(profile: LinkProfile): CheckedLinkProfile {
  const parsed = linkProfileSchema.safeParse(profile);
  if (parsed.success) return parsed.data;
  throw new TandemError('INVALID_OPTION', `link profile: ${z.prettifyError(parsed.error)}`, { cause: parsed.error });
}
