export { type ReportPlot, reportPlots } from '../report/report-plots.js';
export { spreadLabels } from './spread-labels.js';
export { svg } from './svg.js';
