/** The plots of a report as one picture, out of the result of `tandem report models/tales --json` that lies beside benchmarks. */
import { readFileSync } from 'node:fs';
import { reportPlots } from '@tandem/model-kit/plots';

export const REPORT = JSON.parse(readFileSync(new URL('../benchmarks/report.json', import.meta.url), 'utf8'));

const COLUMNS = 2;
const GAP = 24;
const TITLE_HEIGHT = 22;

/** The page's plots in two columns, each under the beginning of its caption. */
export function reportPicture() {
  const plots = reportPlots(REPORT).map(({ caption, svg }) => ({
    title: caption.split(/[:;,(]/)[0].trim(),
    svg,
    width: sizeOf(svg, 'width'),
    height: sizeOf(svg, 'height'),
  }));
  const cellWidth = Math.max(...plots.map(({ width }) => width)) + GAP;
  const parts = [];
  let top = GAP;
  for (let first = 0; first < plots.length; first += COLUMNS) {
    const row = plots.slice(first, first + COLUMNS);
    for (const [column, { title, svg }] of row.entries()) {
      const left = GAP + column * cellWidth;
      parts.push(`<text x="${left}" y="${top + 14}" font-weight="bold">${title.replaceAll('&', '&amp;')}</text>`);
      parts.push(svg.trim().replace('<svg', `<svg x="${left}" y="${top + TITLE_HEIGHT}"`));
    }
    top += TITLE_HEIGHT + GAP + Math.max(...row.map(({ height }) => height));
  }
  const size = `width="${GAP + COLUMNS * cellWidth}" height="${top}"`;
  const open = `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="system-ui, sans-serif" font-size="14">`;
  return `${open}\n<rect width="100%" height="100%" fill="white"/>\n${parts.join('\n')}\n</svg>\n`;
}

function sizeOf(svg, name) {
  return Number(new RegExp(`<svg[^>]* ${name}="(\\d+)"`).exec(svg)[1]);
}
