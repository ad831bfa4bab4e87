/**
 * The figures of benchmarks.md, out of the results of `bench decode --json` and `bench codec --json` that lie beside it. No
 * figure on that page is written by hand.
 */
import { readFileSync } from 'node:fs';
import { table } from './markdown.js';

/** The last results that were kept. */
export const DECODE = resultOf('decode');
export const CODEC = resultOf('codec');

export const MODES = [...new Set(DECODE.rows.map(({ mode }) => mode))];
export const RTTS_MS = [...new Set(DECODE.rows.map(({ rttMs }) => rttMs))].sort((a, b) => a - b);

/** Clock and profile of each part of the page, as the rows name them. */
export const PLACES = [...new Set(DECODE.rows.map(placeOf))];

export function placeOf({ clock, profile }) {
  return clock === 'real' ? 'real time, this machine' : `virtual time, ${profile}`;
}

/** The link that the details are given for: the middle of the road. */
const DETAIL_RTT_MS = 50;

export const BENCHMARK_TABLES = {
  run: runTable,
  bars: barTable,
  'break-even': breakEvenTable,
  speed: speedTables,
  details: detailTables,
  profiles: profileList,
  'codec-run': codecRunTable,
  codecs: codecTable,
};

function runTable() {
  const { machine, commit, seed, temperature, format, stories, tokens, real, overrides } = DECODE;
  return table(
    ['', ''],
    [
      ['machine', machine],
      ['commit', `\`${commit}\``],
      ['model', `the embedded one in ${format}, seed ${seed}, temperature ${temperature}`],
      ['virtual time', `${stories} openings × ${tokens} tokens`],
      ['real time', `${real.stories} openings × ${real.tokens} tokens`],
      ['session options', Object.keys(overrides).length > 0 ? `\`${JSON.stringify(overrides)}\`` : 'the defaults'],
    ],
  );
}

function barTable() {
  return table(
    ['bar', 'measured', ''],
    DECODE.bars.map(({ bar, figure, isMet }) => [bar, String(figure), isMet ? 'met' : '**missed**']),
  );
}

function breakEvenTable() {
  const rows = Object.entries(DECODE.breakEven).map(([place, modes]) => [
    place,
    ...MODES.map((mode) => {
      const found = modes[mode];
      if (!found) return '';
      return `${found.atLeast ? '≥ ' : ''}${found.rttMs}`;
    }),
  ]);
  return table(['ms of RTT', ...MODES], rows);
}

function speedTables() {
  return PLACES.map((place) => {
    const rows = MODES.map((mode) => [
      mode,
      ...RTTS_MS.map((rttMs) => {
        const row = rowAt(place, mode, rttMs);
        return row ? `${row.tokensPerS.toFixed(1)} (${row.ratioToCloudOnly.toFixed(2)})` : '';
      }),
    ]);
    return `### ${capital(place)}\n\n${table(['mode', ...RTTS_MS.map((rttMs) => `${rttMs} ms`)], rows)}`;
  }).join('\n\n');
}

function detailTables() {
  const head = [
    'mode',
    'first token ms',
    'p95 between tokens ms',
    'exposed RTT ms',
    'round trips',
    'waited for',
    'bytes up',
    'bytes down',
    'cloud engine ms',
    'device ms',
    'agreement',
    'decided at',
    'policy',
  ];
  const rttMs = RTTS_MS.includes(DETAIL_RTT_MS) ? DETAIL_RTT_MS : RTTS_MS[0];
  return PLACES.map((place) => {
    const rows = MODES.flatMap((mode) => {
      const row = rowAt(place, mode, rttMs);
      return row ? [detailsOf(row)] : [];
    });
    return `### ${capital(place)}, ${rttMs} ms\n\n${table(head, rows)}`;
  }).join('\n\n');
}

function detailsOf(row) {
  return [
    row.mode,
    row.ttftMs.toFixed(0),
    row.p95Ms.toFixed(1),
    row.exposedRttMsPerToken.toFixed(2),
    row.roundTripsPerToken.toFixed(3),
    row.waitedRoundTripsPerToken?.toFixed(3) ?? '',
    row.bytesUpPerToken.toFixed(0),
    row.bytesDownPerToken.toFixed(0),
    row.cloudMsPerToken.toFixed(2),
    row.deviceMsPerToken.toFixed(2),
    row.agreement.toFixed(4),
    Object.entries(row.origins)
      .map(([name, share]) => `${name} ${(100 * share).toFixed(0)} %`)
      .join(', '),
    row.policy ?? '',
  ];
}

function profileList() {
  return DECODE.profiles
    .map(({ name, deviceStageMs, cloudStageMs, cloudTailMs, width, link, sources }) => {
      const stages = `device stages ${deviceStageMs.join(' and ')} ms, the same in the cloud ${cloudStageMs.join(' and ')} ms, behind the cut ${cloudTailMs} ms`;
      const lines = sources.map((source) => `- ${source}`).join('\n');
      return `**\`${name}\`**: ${stages}; rows of width ${width}; ${link.name}.\n\n${lines}`;
    })
    .join('\n\n');
}

function codecRunTable() {
  const { machine, commit, positions, text } = CODEC;
  const origin = text === 'validation' ? 'validation text that the model never saw' : 'text that the model told itself';
  return table(
    ['', ''],
    [
      ['machine', machine],
      ['commit', `\`${commit}\``],
      ['text', `${positions} positions, ${origin}`],
    ],
  );
}

function codecTable() {
  const head = [
    'codec',
    'bytes per row',
    'of f16',
    'encode MB/s',
    'decode MB/s',
    'flips',
    'cross-entropy',
    'odds at flips',
  ];
  const f16Bytes = CODEC.rows.find(({ codec }) => codec === 'f16').bytesPerRow;
  const rows = CODEC.rows.map((row) => [
    `\`${row.codec}\``,
    String(row.bytesPerRow),
    (row.bytesPerRow / f16Bytes).toFixed(3),
    String(row.encodeMBPerS),
    String(row.decodeMBPerS),
    `${(100 * row.flips).toFixed(3)} %`,
    `${row.crossEntropyDelta < 0 ? '−' : '+'}${Math.abs(100 * row.crossEntropyDelta).toFixed(3)} %`,
    row.flipOddsMedian?.toFixed(2) ?? '',
  ]);
  return table(head, rows);
}

function resultOf(name) {
  return JSON.parse(readFileSync(new URL(`../benchmarks/${name}.json`, import.meta.url), 'utf8'));
}

function rowAt(place, mode, rttMs) {
  return DECODE.rows.find((row) => placeOf(row) === place && row.mode === mode && row.rttMs === rttMs);
}

function capital(text) {
  return text[0].toUpperCase() + text.slice(1);
}
