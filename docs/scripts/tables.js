/**
 * The tables of the docs that repeat what the code or a benchmark says: error codes, limits, messages, figures;
 * `npm run docs` writes them between their markers, and tests/docs.test.ts fails when they are out of date.
 */
import { readFileSync } from 'node:fs';
import { environmentOf, flagOf, METRICS, OPTION_NAMES, OPTION_ROWS, serverOptionsSchema } from '@tandem/cloud';
import { ERROR_CODES, ERROR_MEANINGS, KINDS, MESSAGE_SCHEMAS } from '@tandem/shared';
import { z } from 'zod';
import { BENCHMARK_TABLES } from './benchmark-tables.js';
import { table } from './markdown.js';
import { MODEL_TABLES } from './model-tables.js';
import { POLICY_TABLES } from './policy-tables.js';

const limitsSource = new URL('../../shared/src/limits.ts', import.meta.url);

/** Markdown file → its generated tables by marker name. */
export const TABLES = {
  'models.md': MODEL_TABLES,
  'ERRORS.md': { errors: errorTable },
  'LIMITS.md': { limits: limitTable },
  'PROTOCOL.md': { messages: messageTable },
  'operations.md': { metrics: metricTable, options: optionTable },
  'benchmarks.md': BENCHMARK_TABLES,
  'policies.md': POLICY_TABLES,
};

/** `text` with every `<!-- table:name -->…<!-- /table -->` filled in anew. */
export function withTables(file, text) {
  let result = text;
  for (const [name, build] of Object.entries(TABLES[file])) {
    const marked = new RegExp(`(<!-- table:${name} -->\n)[\\s\\S]*?(<!-- /table -->)`);
    if (!marked.test(result)) throw new Error(`${file} has no marker for table ${name}`);
    result = result.replace(marked, (_, open, close) => `${open}\n${build()}\n\n${close}`);
  }
  return result;
}

function errorTable() {
  const rows = Object.entries(ERROR_CODES).map(([code, { retryable }]) => [
    `\`${code}\``,
    retryable ? 'yes' : 'no',
    ERROR_MEANINGS[code],
  ]);
  return table(['code', 'retry', 'meaning'], rows);
}

/** Name, value and the reason that stands above each limit in the source. */
function limitTable() {
  const source = readFileSync(limitsSource, 'utf8');
  const rows = [];
  let reason = '';
  for (const [, comment, name, value] of source.matchAll(/\/\*\* (.*?) \*\/\n|export const (\w+) = (.+);/g)) {
    if (comment) reason = comment;
    else rows.push([`\`${name}\``, value.replaceAll('_', ','), reason]);
  }
  return table(['limit', 'value', 'reason'], rows);
}

function messageTable() {
  const rows = Object.entries(MESSAGE_SCHEMAS).map(([kind, schema]) => [
    String(KINDS[kind]),
    `\`${kind}\``,
    fieldsOf(schema),
  ]);
  return table(['byte', 'message', 'control map'], rows);
}

function fieldsOf(schema) {
  const { properties = {}, required = [] } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
  const fields = Object.entries(properties).map(([name, property]) => {
    return `\`${name}${required.includes(name) ? '' : '?'}\` ${typeOf(property)}`;
  });
  return fields.join(', ') || 'empty';
}

function typeOf(property) {
  if (property.enum) return property.enum.length > 4 ? 'error code' : property.enum.join(' \\| ');
  if (property.type === 'array') return `${property.items.type}[]`;
  return property.type;
}

function metricTable() {
  const rows = Object.entries(METRICS).map(([name, { kind, label, help }]) => [
    `\`${name}\``,
    kind,
    label ? `\`${label}\`` : '',
    help,
  ]);
  return table(['metric', 'kind', 'label', 'what'], rows);
}

function optionTable() {
  const rows = OPTION_NAMES.map((name) => {
    const { value, text, shown } = OPTION_ROWS[name];
    const standard =
      name === 'model' ? 'required' : (shown ?? String(serverOptionsSchema.shape[name].parse(undefined)));
    const flag = `${flagOf(name)} ${value}`.trim();
    return [`\`${flag}\``, `\`${environmentOf(name)}\``, `\`${name}\``, text, standard];
  });
  return table(['flag', 'environment', 'file', 'what', 'default'], rows);
}
