import { formatBytes, formatTable } from '../commands/text.js';
import type { SuitabilityReport } from './suitability-report.js';

export interface ReportTable {
  title: string;
  /** The first is the head. */
  rows: string[][];
}

/** The report for a terminal, the verdict first. */
export function describeReport(report: SuitabilityReport): string {
  const { lead, tables } = reportTables(report);
  return [
    ...lead,
    `\n${report.verdict}`,
    ...tables.flatMap(({ title, rows }) => [`\n${title}`, formatTable(rows)]),
    ...report.profile.sources.map((source) => `- ${source}`),
  ].join('\n');
}

/** What terminal and page show: what was measured, and on what; then the figures. */
export function reportTables(report: SuitabilityReport): { lead: string[]; tables: ReportTable[] } {
  const { model, text, format, codec, machine, thresholds, profile, exits, formats } = report;
  const ofExits = () => [
    {
      title: `Exits: agreement, and what leaves by ${thresholds.policy} at a disagreement of ε (thresholds: ${thresholds.source})`,
      rows: exitRows(report),
    },
    { title: 'Settled tokens per round by draft length', rows: draftRows(report) },
  ];
  return {
    lead: [
      `${model.name}: ${model.architecture}, ${model.layers} layers, width ${model.width}, cut at layer ${model.cut}; ${format}, rows as ${codec}`,
      `measured on ${text.tokens} tokens in ${text.texts} texts (${text.name}); ${machine}`,
    ],
    tables: [
      ...(exits.length > 0 ? ofExits() : []),
      { title: `Weight formats: the whole model against ${formats[0]!.format}`, rows: formatRows(report) },
      { title: 'Row codecs', rows: codecRows(report) },
      {
        title: `Milliseconds per token by round trip, predicted (${profile.name}: ${profile.link.name})`,
        rows: predictionRows(report),
      },
    ],
  };
}

function exitRows({ exits, thresholds }: SuitabilityReport): string[][] {
  const epsilons = Object.keys(thresholds.settled);
  const rows = exits.map(({ layer, agreement, leaving }) => [
    `after layer ${layer}`,
    percent(agreement),
    ...epsilons.map((epsilon) => percent(leaving[epsilon]!)),
  ]);
  const measured = epsilons.map((epsilon) => percent(thresholds.disagreement[epsilon]!, 2));
  return [
    ['exit', 'agreement', ...epsilons.map((epsilon) => `ε ${percent(Number(epsilon))}`)],
    ...rows,
    ['measured disagreement', '', ...measured],
  ];
}

function draftRows({ exits }: SuitabilityReport): string[][] {
  const lengths = Object.keys(exits[0]!.settledPerRound);
  const rows = exits.map(({ layer, settledPerRound }) => [
    `after layer ${layer}`,
    ...lengths.map((length) => settledPerRound[length]!.toFixed(2)),
  ]);
  return [['drafts', ...lengths], ...rows];
}

function formatRows({ formats }: SuitabilityReport): string[][] {
  const rows = formats.map(({ format, agreement, perplexity, deviceBytes, bytes }) => [
    format,
    percent(agreement, 2),
    perplexity.toFixed(3),
    formatBytes(deviceBytes),
    formatBytes(bytes),
  ]);
  return [['format', 'same choice', 'perplexity', 'device stages', 'all stages'], ...rows];
}

function codecRows({ codecs }: SuitabilityReport): string[][] {
  const rows = codecs.map(({ codec, bytesPerRow, agreement }) => [codec, String(bytesPerRow), percent(agreement, 2)]);
  return [['codec', 'bytes per row', 'same choice'], ...rows];
}

function predictionRows({ predicted }: SuitabilityReport): string[][] {
  const modes = ['exact', 'collaborative', 'cloud-only', 'device-only'] as const;
  const rows = predicted.map(({ rttMs, msPerToken, best, draftsPerForward }) => [
    String(rttMs),
    ...modes.map((mode) => msPerToken[mode].toFixed(2)),
    best,
    draftsPerForward.toFixed(1),
  ]);
  return [['RTT ms', ...modes, 'best', 'drafts per forward'], ...rows];
}

/** `0.0123` → `1.2 %`. */
function percent(share: number, digits = 1): string {
  return `${Number((100 * share).toFixed(digits))} %`;
}
