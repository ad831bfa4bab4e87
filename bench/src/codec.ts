/**
 * How small can a row be, what does that change, and what does it cost?
 *
 * Rows at the cut of the embedded model (f32 weights) on 20,000 tokens that it never saw, through every codec and on
 * through the cloud's stages. All bytes are counted, scales included. `flips`: share of positions whose likeliest token
 * changes. `crossEntropyDelta`: relative change of the text's cross-entropy. Speeds: megabytes of f32 rows per second on one
 * core, the best of several runs, because other work on the machine can only slow a run down.
 *
 * Where the validation text is missing (it lies outside the repository), the model tells its own; the output says so.
 */
import { fileURLToPath } from 'node:url';
import { cachedBundle } from '@tandem/model-kit';
import { decodeTokenIds, encodeTokenIds, ROW_CODECS, type RowCodec } from '@tandem/shared';
import { CodecJudge, type CodecQuality } from './codec-quality.js';
import { type BenchText, readBenchText } from './codec-text.js';
import { currentCommit, describeMachine, formatColumns } from './report.js';

const MODEL = fileURLToPath(new URL('../../models/tales', import.meta.url));
const TOKENS = 20_000;
/** Telling is slower than reading. */
const OWN_TOKENS = 4_000;
/** 1 MiB of f32 at width 256: more than the second-level cache holds, as long prompts are. */
const SPEED_ROWS = 1_024;
const SPEED_RUNS = 200;

export interface CodecRow extends CodecQuality {
  codec: string;
  width: number;
  bytesPerRow: number;
  encodeMBPerS: number;
  decodeMBPerS: number;
}

export async function benchCodec(options: { json?: boolean; model?: string; tokens?: number }): Promise<void> {
  const say = options.json ? () => {} : console.log;
  const bundle = await cachedBundle(options.model ?? MODEL, { formats: ['f32'] });
  const count = options.tokens ?? TOKENS;
  const text = await readBenchText(bundle, count, Math.min(count, OWN_TOKENS));
  const judge = await CodecJudge.create(bundle, text.tokens);
  say(`${judge.positions} positions, width ${judge.width}, text: ${text.origin}\n`);
  const speedRows = collectRows(judge, SPEED_ROWS);
  const rows: CodecRow[] = [];
  for (const codec of Object.values(ROW_CODECS)) {
    const bytesPerRow = codec.bytesPerRow(judge.width);
    const speed = measureSpeed(codec, speedRows, judge.width);
    rows.push({ codec: codec.name, width: judge.width, bytesPerRow, ...speed, ...(await judge.judge(codec)) });
  }
  rows.push(tokenIdRow(text, judge.width));
  say(formatTable(rows));
  const { origin } = text;
  const place = { machine: describeMachine(), commit: currentCommit() };
  console.log(JSON.stringify({ bench: 'codec', text: origin, positions: judge.positions, rows, ...place }));
}

/** `(count, width)`: the first rows of the text, again from the start where it is short. */
function collectRows({ windows, width }: CodecJudge, count: number): Float32Array {
  const rows = new Float32Array(count * width);
  for (let at = 0, next = 0; at < rows.length; next++) {
    const piece = windows[next % windows.length]!.rows.subarray(0, rows.length - at);
    rows.set(piece, at);
    at += piece.length;
  }
  return rows;
}

function measureSpeed(codec: RowCodec, rows: Float32Array, width: number) {
  const encoded = new Uint8Array((rows.length / width) * codec.bytesPerRow(width));
  const decoded = new Float32Array(rows.length);
  return {
    encodeMBPerS: bestMBPerS(rows.byteLength, () => codec.encode(rows, width, encoded)),
    decodeMBPerS: bestMBPerS(rows.byteLength, () => codec.decode(encoded, width, decoded)),
  };
}

function bestMBPerS(bytes: number, work: () => void): number {
  let bestMs = Infinity;
  for (let run = 0; run < SPEED_RUNS; run++) {
    const start = performance.now();
    work();
    bestMs = Math.min(bestMs, performance.now() - start);
  }
  return Math.round(bytes / 1_000 / bestMs);
}

/**
 * Token ids instead of rows, where the server holds the device's stages: both run the same ones, so nothing flips as long
 * as every id comes back. Speeds per megabyte of 4-byte ids.
 */
function tokenIdRow({ tokens }: BenchText, width: number): CodecRow {
  const vocabularySize = tokens.reduce((max, id) => Math.max(max, id), 0) + 1;
  const encoded = encodeTokenIds(tokens, vocabularySize);
  const decoded = decodeTokenIds(encoded, vocabularySize);
  return {
    codec: 'token-ids',
    width,
    bytesPerRow: encoded.length / tokens.length,
    encodeMBPerS: bestMBPerS(4 * tokens.length, () => encodeTokenIds(tokens, vocabularySize)),
    decodeMBPerS: bestMBPerS(4 * tokens.length, () => decodeTokenIds(encoded, vocabularySize)),
    flips: tokens.filter((id, i) => id !== decoded[i]).length / tokens.length,
    crossEntropyDelta: 0,
    flipOddsMedian: undefined,
  };
}

function formatTable(rows: readonly CodecRow[]): string {
  const f16Bytes = rows.find(({ codec }) => codec === 'f16')?.bytesPerRow ?? NaN;
  const lines = rows.map((row) => [
    row.codec,
    String(row.bytesPerRow),
    (row.bytesPerRow / f16Bytes).toFixed(3),
    String(row.encodeMBPerS),
    String(row.decodeMBPerS),
    `${(row.flips * 100).toFixed(3)} %`,
    `${(row.crossEntropyDelta * 100).toFixed(3)} %`,
    row.flipOddsMedian === undefined ? '-' : row.flipOddsMedian.toFixed(2),
  ]);
  const head = [
    'codec',
    'bytes/row',
    'of f16',
    'encode MB/s',
    'decode MB/s',
    'flips',
    'cross-entropy',
    'odds at flips',
  ];
  return formatColumns([head, ...lines]);
}
