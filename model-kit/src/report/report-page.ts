import { reportPlots } from './report-plots.js';
import { reportTables } from './report-table.js';
import type { SuitabilityReport } from './suitability-report.js';

/** Nothing may be loaded from anywhere, and nothing runs: the page is what it is. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

const STYLE = `
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; color: #1b1b1b; background: #fff }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2.2rem }
.verdict { border-left: 4px solid #0b6e4f; padding: .4rem 1rem; font-size: 1.1rem }
figure { margin: 1.5rem 0 } figcaption { font-size: .9rem; color: #444 } svg { max-width: 100%; height: auto }
table { border-collapse: collapse; font-size: .85rem; display: block; overflow-x: auto }
th, td { text-align: left; padding: .2rem .7rem .2rem 0; border-bottom: 1px solid #ddd; white-space: nowrap }
p.note { font-size: .85rem; color: #444 }
`;

/** The report as one HTML page that needs nothing else. */
export function reportPage(report: SuitabilityReport): string {
  const { model, verdict, profile } = report;
  const figures = reportPlots(report).map(
    ({ name, caption, svg }) =>
      `<figure id="plot-${name}">\n${svg}<figcaption>${escapeHtml(caption)}</figcaption>\n</figure>`,
  );
  const { lead, tables } = reportTables(report);
  const sections = tables.map(({ title, rows }) => `<h2>${escapeHtml(title)}</h2>\n${tableOf(rows)}`);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<link rel="icon" href="data:,">
<title>${escapeHtml(model.name)}: is it worth splitting?</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escapeHtml(model.name)}: is it worth splitting?</h1>
<p class="verdict">${escapeHtml(verdict)}</p>
${lead.map(note).join('\n')}
${figures.join('\n')}
${sections.join('\n')}
${profile.sources.map(note).join('\n')}
</body>
</html>
`;
}

function note(text: string): string {
  return `<p class="note">${escapeHtml(text)}</p>`;
}

function tableOf([head, ...rows]: readonly string[][]): string {
  const line = (cells: readonly string[], tag: string) =>
    `<tr>${cells.map((cell) => `<${tag}>${escapeHtml(cell)}</${tag}>`).join('')}</tr>`;
  return `<table>\n${[line(head!, 'th'), ...rows.map((row) => line(row, 'td'))].join('\n')}\n</table>`;
}

/** Names come from the model's files and from the command line. */
function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
