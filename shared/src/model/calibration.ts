import * as z from 'zod';
import { ROW_CODEC_NAMES } from '../codec/row-codec.js';
import { FORMATS } from './format.js';

/** Exit policies whose thresholds `tandem calibrate` finds. */
export const CALIBRATED_POLICY_NAMES = ['max-probability', 'margin', 'entropy'] as const;
export type CalibratedPolicyName = (typeof CALIBRATED_POLICY_NAMES)[number];

const calibratedThresholds = z.strictObject({
  policy: z.enum(CALIBRATED_POLICY_NAMES),
  /** At most this share of a text's tokens is settled on the device and differs from the whole model's choice. */
  epsilon: z.number().gt(0).lt(1),
  /** One per exit, first exit first; null: the exit settles nothing. Floors, for `entropy` ceilings in nats. */
  thresholds: z.array(z.number().nullable()).min(1).max(64),
});

/** Thresholds with a guarantee, and what it rests on. They hold for one weight format: another one's exits speak differently. */
export const calibrationSchema = z.strictObject({
  format: z.enum(FORMATS),
  /** What rows passed at the cut. */
  codec: z.enum(ROW_CODEC_NAMES),
  text: z.strictObject({
    name: z.string().min(1).max(128),
    /** Over the token ids, int32 little-endian, text after text. */
    sha256: z.string().regex(/^[0-9a-f]{64}$/),
    texts: z.int().min(1).max(1e9),
    /** Tokens that were judged. */
    tokens: z.int().min(1).max(1e12),
  }),
  /** The guarantee holds with probability 1 − delta over the draw of the texts. */
  delta: z.number().gt(0).lt(1),
  policies: z.array(calibratedThresholds).min(1).max(256),
});

export type Calibration = z.infer<typeof calibrationSchema>;
