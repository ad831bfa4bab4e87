import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';

const STYLE = { background: 'white', color: 'black', fontSize: '12px' };

/** A plot as an SVG file: Observable Plot draws, linkedom is its document. */
export function svg(options: Plot.PlotOptions): string {
  const { document } = parseHTML('<html><body></body></html>');
  const element = Plot.plot({ ...options, document, style: STYLE });
  // A file of its own needs the name of its language.
  element.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
  return `${element.outerHTML}\n`;
}
