/** Numbers as people read them. What was not measured is a dash, never a zero. */
export type Formatter = (value: number | null | undefined) => string;

const DASH = '–';

export const count: Formatter = (value) => (value == null ? DASH : Math.round(value).toLocaleString('en'));

export const rate: Formatter = (value) => {
  if (value == null) return DASH;
  return value >= 100 || Number.isInteger(value) ? Math.round(value).toLocaleString('en') : value.toFixed(1);
};

export const ms: Formatter = (value) => {
  if (value == null) return DASH;
  if (value >= 10_000) return `${(value / 1_000).toFixed(0)} s`;
  if (value >= 1_000) return `${(value / 1_000).toFixed(1)} s`;
  return `${value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)} ms`;
};

export const bytes: Formatter = (value) => {
  if (value == null) return DASH;
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = value < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(value) / 10));
  const scaled = value / 1_024 ** power;
  return `${scaled >= 100 || power === 0 ? scaled.toFixed(0) : scaled.toFixed(1)} ${units[power]}`;
};

export function duration(totalMs: number): string {
  const seconds = Math.floor(totalMs / 1_000);
  const [days, hours, minutes] = [Math.floor(seconds / 86_400), Math.floor(seconds / 3_600), Math.floor(seconds / 60)];
  if (days > 0) return `${days} d ${hours % 24} h`;
  if (hours > 0) return `${hours} h ${minutes % 60} min`;
  return minutes > 0 ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}
