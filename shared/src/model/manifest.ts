import * as z from 'zod/mini';
import { TandemError } from '../errors.js';
import { integer, list, matching, number, text } from '../platform/schema.js';
import { calibrationSchema } from './calibration.js';
import { FORMATS, type Format } from './format.js';

/** Version of `manifest.json` and of the inputs and outputs of a stage graph. */
export const BUNDLE_VERSION = 1;

const LAYERS_MAX = 1_024;
const count = (max: number) => integer(1, max);
const sha256 = matching(/^[0-9a-f]{64}$/);

/** A plain name: a manifest must not be able to point outside its folder. */
const fileName = matching(/^[A-Za-z0-9][A-Za-z0-9._-]*$/);
const fileEntry = z.strictObject({
  file: fileName,
  bytes: integer(0),
  sha256,
});

const stage = z.strictObject({
  /** First layer, and the layer after the last. */
  from: integer(0, LAYERS_MAX),
  to: count(LAYERS_MAX),
  input: z.enum(['tokens', 'rows']),
  head: z.enum(['exit', 'model', 'none']),
  files: z.partialRecord(z.enum(FORMATS), fileEntry),
  /** Weights that lie beside the file of a format (ONNX external data), because it would exceed 2 GiB. */
  data: z.optional(z.partialRecord(z.enum(FORMATS), fileEntry)),
});

const manifest = z.strictObject({
  version: z.literal(BUNDLE_VERSION),
  name: text(128, 1),
  /** `model_type` of the checkpoint. Told to people; programs look at the graphs. */
  architecture: matching(/^[a-z0-9][a-z0-9_]*$/, 64),
  /**
   * sha256 over config, weights, exits and tokenizer of the checkpoint: the identity of the model that device and
   * server compare. It depends neither on the cut nor on the weight format.
   */
  fingerprint: sha256,
  width: count(65_536),
  layers: count(LAYERS_MAX),
  heads: count(1_024),
  kvHeads: count(1_024),
  headDim: count(1_024),
  feedForward: count(1_048_576),
  vocabularySize: count(4_194_304),
  contextLength: count(4_194_304),
  ropeTheta: z.number().check(z.gt(0), z.lte(1e12)),
  normEpsilon: number(0, 1),
  tiedHead: z.boolean(),
  bosTokenId: z.nullable(integer(0)),
  eosTokenIds: list(integer(0), 64),
  /** Layer numbers after which the device can stop. */
  exits: list(count(LAYERS_MAX), 64),
  /** The layer at which the cloud takes over. */
  cut: count(LAYERS_MAX),
  formats: list(z.enum(FORMATS), FORMATS.length, 1),
  stages: list(stage, 64, 1),
  tokenizer: list(fileEntry, 8),
  /** Exit thresholds with a guarantee; at most one entry per weight format. */
  calibration: z.optional(list(calibrationSchema, FORMATS.length)),
});

/** What a bundle says about itself. */
export type Manifest = z.infer<typeof manifest>;
export type ManifestStage = Manifest['stages'][number];
export type FileEntry = z.infer<typeof fileEntry>;

/**
 * Checks a parsed `manifest.json`.
 *
 * @throws TandemError BUNDLE_CORRUPT, naming the first fields that are wrong.
 */
export function parseManifest(value: unknown): Manifest {
  const result = manifest.safeParse(value);
  if (!result.success) {
    const issues = result.error.issues
      .slice(0, 3)
      .map((issue) => `${issue.path.join('.') || 'manifest'}: ${issue.message}`);
    throw new TandemError('BUNDLE_CORRUPT', `manifest.json: ${issues.join('; ')}; prepare the bundle again`);
  }
  const contradiction = findContradiction(result.data);
  if (contradiction !== undefined) {
    throw new TandemError('BUNDLE_CORRUPT', `manifest.json: ${contradiction}; prepare the bundle again`);
  }
  return result.data;
}

/** The first rule between fields that does not hold. */
function findContradiction(m: Manifest): string | undefined {
  if (m.heads % m.kvHeads !== 0) return `${m.heads} heads cannot share ${m.kvHeads} KV heads`;
  if (m.headDim % 2 !== 0) return `headDim ${m.headDim} is odd, rotary angles need pairs`;
  if (m.stages[0]!.from !== 0) return 'the first stage does not start at layer 0';
  for (const [i, { from, to, input, head, files, data }] of m.stages.entries()) {
    if (to <= from) return `stage ${i} is empty`;
    if (i > 0 && from !== m.stages[i - 1]!.to)
      return `stage ${i} starts at ${from}, the one before ends at ${m.stages[i - 1]!.to}`;
    if ((input === 'tokens') !== (i === 0)) return `stage ${i} reads ${input}`;
    if (head !== expectedHead(m, to)) return `stage ${i} ends at ${to} with head ${head}`;
    const missing = m.formats.find((format) => files[format] === undefined);
    if (missing !== undefined) return `stage ${i} has no file for ${missing}`;
    const stray = Object.keys(data ?? {}).find((format) => files[format as Format] === undefined);
    if (stray !== undefined) return `stage ${i} has weights for ${stray} but no graph`;
    if (Object.keys(files).length !== m.formats.length)
      return `stage ${i} has files of formats that the bundle does not list`;
  }
  if (m.stages.at(-1)!.to !== m.layers) return `the stages end at ${m.stages.at(-1)!.to} of ${m.layers} layers`;
  const ends = m.stages.map((entry) => entry.to);
  if (!ends.includes(m.cut) || m.cut === m.layers) return `cut ${m.cut} is not a boundary between stages`;
  const stray = m.exits.find((exit) => !ends.includes(exit) || exit > m.cut);
  return stray === undefined ? findCalibrationFault(m) : `exit ${stray} is not the end of a stage before the cut`;
}

function findCalibrationFault({ calibration = [], formats, exits }: Manifest): string | undefined {
  const calibrated = calibration.map(({ format }) => format);
  const stray = calibrated.find((format, i) => !formats.includes(format) || calibrated.indexOf(format) !== i);
  if (stray !== undefined) return `the calibration for ${stray} belongs to no format or is there twice`;
  const thresholds = calibration.flatMap(({ policies }) => policies.map((policy) => policy.thresholds.length));
  const wrong = thresholds.find((count) => count !== exits.length);
  return wrong === undefined ? undefined : `the calibration has ${wrong} thresholds for ${exits.length} exits`;
}

function expectedHead(m: Manifest, to: number): ManifestStage['head'] {
  if (to === m.layers) return 'model';
  return m.exits.includes(to) ? 'exit' : 'none';
}
