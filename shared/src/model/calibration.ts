import * as z from 'zod/mini';
import { ROW_CODEC_NAMES } from '../codec/row-codec.js';
import { integer, list, matching, text } from '../platform/schema.js';
import { FORMATS } from './format.js';

/** Exit policies whose thresholds `tandem calibrate` finds. */
export const CALIBRATED_POLICY_NAMES = ['max-probability', 'margin', 'entropy'] as const;
export type CalibratedPolicyName = (typeof CALIBRATED_POLICY_NAMES)[number];

/** Neither end belongs to it. */
const share = z.number().check(z.gt(0), z.lt(1));

const calibratedThresholds = z.strictObject({
  policy: z.enum(CALIBRATED_POLICY_NAMES),
  /** At most this share of a text's tokens is settled on the device and differs from the whole model's choice. */
  epsilon: share,
  /** One per exit, first exit first; null: the exit settles nothing. Floors, for `entropy` ceilings in nats. */
  thresholds: list(z.nullable(z.number()), 64, 1),
});

/** Thresholds with a guarantee, and what it rests on. They hold for one weight format: another one's exits speak differently. */
export const calibrationSchema = z.strictObject({
  format: z.enum(FORMATS),
  /** What rows passed at the cut. */
  codec: z.enum(ROW_CODEC_NAMES),
  text: z.strictObject({
    name: text(128, 1),
    /** Over the token ids, int32 little-endian, text after text. */
    sha256: matching(/^[0-9a-f]{64}$/),
    texts: integer(1, 1e9),
    /** Tokens that were judged. */
    tokens: integer(1, 1e12),
  }),
  /** The guarantee holds with probability 1 − delta over the draw of the texts. */
  delta: share,
  policies: list(calibratedThresholds, 256, 1),
});

export type Calibration = z.infer<typeof calibrationSchema>;
