import type { SourceFile } from './source-files.js';

/** A rule returns what is wrong with a file, in words; an empty list if nothing is. */
export type Rule = (file: SourceFile) => string[];

const FILE_LINES_MAX = 300;
const FUNCTION_LINES_MAX = 70;

/** Which packages a package may import. `tests/netsim` is a package of its own that users get. */
const ARROWS: Record<string, RegExp> = {
  'shared/': /^$/,
  'edge-sdk/': /^@tandem\/shared(\/(limits|node|openai|schema|tokenizer))?$/,
  'cloud-server/': /^@tandem\/shared(\/(limits|node|openai|tokenizer))?$/,
  'model-kit/': /^@tandem\/shared(\/(limits|node|openai|tokenizer))?$/,
  'tests/netsim/': /^@tandem\/shared$/,
  'tests/':
    /^@tandem\/(shared(\/(limits|node|openai|tokenizer))?|edge(\/(endpoint|testing))?|cloud(\/testing)?|model-kit|netsim|bench\/testing|chat-parts)$/,
  'bench/':
    /^@tandem\/(shared(\/(limits|node|openai|tokenizer))?|edge(\/testing)?|cloud(\/testing)?|model-kit|netsim)$/,
  'examples/': /^@tandem\/(shared(\/(limits|node|openai|tokenizer))?|edge|cloud|model-kit|netsim|chat-parts(\/page)?)$/,
  'docs/': /^@tandem\/(shared(\/(limits|node|openai|tokenizer))?|edge|cloud|model-kit(\/plots)?)$/,
};

/** Paths out of a package that are right: what a command starts, and the tables that the docs are made of. */
const WAYS_OUT =
  /^(cloud-server|edge-sdk|model-kit|tests\/netsim)\/dist\/main\.js$|^examples\/electron-chat\/dist\/app\.js$|^docs\/scripts\/(tables|benchmark-plots)\.js$/;

/** Between packages, and out of a package's folder, only public entries. */
export const arrows: Rule = ({ path, imports }) => {
  const home = Object.keys(ARROWS).find((folder) => path.startsWith(folder));
  return imports.flatMap(({ from }) => {
    if (from.startsWith('@tandem/') && !(home && ARROWS[home]!.test(from))) return [`may not import ${from}`];
    const target = from.startsWith('.') ? resolve(path, from) : from;
    if (WAYS_OUT.test(target)) return [];
    if (target.includes('/dist/')) return [`imports a build output: ${from}`];
    if (from.startsWith('.') && home && !target.startsWith(home)) return [`leaves its package: ${from}`];
    return [];
  });
};

/** Inside shared: which folders a folder may never import. */
const FORBIDDEN_INSIDE: [string, RegExp][] = [
  ['shared/src/protocol/', /\/(codec|stage|engine|model|node|transport)\//],
  ['shared/src/codec/', /\/(protocol|stage|engine|model|node|transport)\//],
  ['shared/src/numeric/', /^shared\/src\/(?!numeric\/)/],
  ['shared/src/platform/', /^shared\/src\/(?!platform\/)/],
  ['shared/src/sampling/', /\/(protocol|codec|stage|engine|model|node|transport)\//],
  ['shared/src/stage/', /\/(protocol|engine|node|transport)\//],
  ['shared/src/tokenizer/', /\/(protocol|codec|stage|engine|model|node|transport)\//],
  ['edge-sdk/src/ledger/', /\/(link|session|engine|tokenizer|exit)\//],
  ['edge-sdk/src/exit/', /\/(link|session|engine|tokenizer|ledger)\//],
  ['edge-sdk/src/link/', /\/(session|engine|tokenizer|exit)\//],
];

export const inside: Rule = ({ path, imports }) => {
  const [, forbidden] = FORBIDDEN_INSIDE.find(([folder]) => path.startsWith(folder)) ?? [];
  if (!forbidden) return [];
  const targets = imports.filter(({ from }) => from.startsWith('.')).map(({ from }) => resolve(path, from));
  return targets.filter((target) => forbidden.test(target)).map((target) => `may not import ${target}`);
};

/** The files that may import a dependency for more than its types. */
const DOORS: Record<string, RegExp> = {
  '@msgpack/msgpack': /^shared\/src\/protocol\/wire\.ts$/,
  ws: /^(edge-sdk\/src\/link\/web-socket-transport|cloud-server\/src\/gateway\/web-socket-door)\.ts$/,
  rxjs: /^edge-sdk\/src\/events\.ts$/,
  'onnxruntime-node': /^shared\/src\/node\/onnxruntime\.ts$/,
  'onnxruntime-web/webgpu': /^edge-sdk\/src\/browser\/onnxruntime-webgpu\.ts$/,
  'onnxruntime-web/wasm': /^edge-sdk\/src\/browser\/onnxruntime-wasm\.ts$/,
  '@noble/hashes/sha2.js': /^edge-sdk\/src\/browser\/sha256\.ts$/,
  '@bufbuild/protobuf/wire': /^(shared\/src\/stage\/onnx-wire|model-kit\/src\/onnx\/model-file)\.ts$/,
  'onnxruntime-common': /^$/,
  '@huggingface/tokenizers': /^shared\/src\/tokenizer\/tokenizer\.ts$/,
  'eventsource-parser/stream': /^cloud-server\/src\/larger-model\/completion-client\.ts$/,
  '@huggingface/jinja': /^edge-sdk\/src\/chat\/bounded-template\.ts$/,
  linkedom: /^model-kit\/src\/plots\/svg\.ts$/,
  '@huggingface/hub': /^model-kit\/src\/hub\/hub-client\.ts$/,
  commander: /\/src\/(main|command-line|options|commands\/[a-z-]+)\.ts$/,
  jose: /^cloud-server\/src\/gateway\/json-web-tokens\.ts$/,
  '@opentelemetry/api': /^cloud-server\/src\/tracing\.ts$/,
  'prom-client': /^cloud-server\/src\/metrics\/prometheus\.ts$/,
  pino: /^cloud-server\/src\/log\.ts$/,
};

export const doors: Rule = ({ path, imports }) => {
  if (isTest(path)) return [];
  return imports
    .filter(({ from, isType }) => !isType && DOORS[from] && !DOORS[from].test(path))
    .map(({ from }) => `is not the door to ${from}`);
};

export const caps: Rule = ({ text, code }) => {
  const lines = text.trimEnd().split('\n').length;
  const long = functionsOf(code).filter((entry) => entry.lines > FUNCTION_LINES_MAX);
  return [
    ...(lines > FILE_LINES_MAX ? [`${lines} lines, at most ${FILE_LINES_MAX}`] : []),
    ...long.map((entry) => `${entry.head}: ${entry.lines} lines, at most ${FUNCTION_LINES_MAX}`),
  ];
};

/**
 * Functions by the formatter's indentation: one starts at a line that ends in `{` behind a parameter list or an arrow,
 * and ends at the next line that is indented as much and starts with `}`. A `describe` is a list, not a function.
 */
function functionsOf(code: string): { head: string; lines: number }[] {
  const lines = code.split('\n');
  return lines.flatMap((line, start) => {
    const head = line.trim();
    // A suite is a list of tests, as a describe is.
    if (/^export function \w*[cC]ontract\(/.test(head)) return [];
    const isHead = /(=>|\)(: .+)?) \{$/.test(head) && !/^(\} )?(if|for|while|switch|catch|else|describe)\b/.test(head);
    if (!isHead) return [];
    const indentation = line.length - line.trimStart().length;
    const end = lines.findIndex(
      (other, i) => i > start && other.search(/\S/) === indentation && other.trim()[0] === '}',
    );
    return end < 0 ? [] : [{ head, lines: end - start + 1 }];
  });
}

const AMBIENT =
  /\b(Date\.now|new Date\(\)|performance\.now|Math\.random|setTimeout|setInterval|randomUUID|randomBytes)\b/g;

/** Files that may read time or chance, or make ids, and why. */
const AMBIENT_ALLOWED: [RegExp, string][] = [
  [/^shared\/src\/platform\//, 'the seam itself'],
  [/^cloud-server\/src\/server\.ts$/, 'composition root: a secret of this process'],
  [/^cloud-server\/page\//, 'a page that asks every second, in a browser'],
  [/^edge-sdk\/src\/model\.ts$/, 'composition root: a session id names a session and reaches no text'],
  [/^bench\//, 'measures'],
  [/^tests\/(integration|long|browser|netsim|screenshots|load)\//, 'real processes and sockets run in real time'],
  [/^examples\/scale-out\//, 'real processes and sockets run in real time'],
  [/^tests\/support\/switch-proxy\.ts$/, 'the load balancer of such tests'],
];

export const ambient: Rule = ({ path, code }) => {
  if (namesWhatItForbids(path) || AMBIENT_ALLOWED.some(([pattern]) => pattern.test(path))) return [];
  return matches(code, AMBIENT).map((found) => `${found}: take a Clock, a Random or an id as a parameter`);
};

const BANS: [RegExp, string][] = [
  [/(:|\bas|<|\|) ?any\b|\bany\[\]/g, 'no any'],
  [/^export \*/gm, 'no export *'],
  // `.opts()` is commander's, `setLegend({ idx })` uPlot's.
  [/(?<!\.|setLegend\(\{ )\b(idx|len|msg|opts)\b/g, 'write the name out'],
];

export const bans: Rule = ({ path, code }) => {
  if (namesWhatItForbids(path)) return [];
  return BANS.flatMap(([pattern, why]) => matches(code, pattern).map((found) => `${found}: ${why}`));
};

/** Read in comments and strings, too. */
const TEXT_BANS: [RegExp, string][] = [
  [/(?<![\w.~-])\/(work|root|home|Users)\/\w/g, 'no paths of one machine'],
  [/\b(TODO|FIXME|XXX)\b/g, 'do it or open an issue'],
];

export const textBans: Rule = ({ path, text }) => {
  if (namesWhatItForbids(path)) return [];
  return TEXT_BANS.flatMap(([pattern, why]) => matches(text, pattern).map((found) => `${found}: ${why}`));
};

export const names: Rule = ({ path, code }) => {
  const isConfig = /\.config\.(ts|js|mjs)$/.test(path);
  // Vitest calls the default export of this one.
  const mayDefault = isConfig || path === 'tests/support/global-setup.ts';
  const name = path.slice(path.lastIndexOf('/') + 1);
  return [
    ...(/^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z]+)*\.(tsx?|js)$/.test(name) ? [] : ['name is not kebab-case']),
    ...(!mayDefault && /^export default\b/m.test(code) ? ['has a default export'] : []),
  ];
};

/** `index.ts` and `testing.ts` are lists of names. */
export const lists: Rule = ({ path, code }) => {
  if (!/\/src\/(.*\/)?(index|testing)\.ts$/.test(path)) return [];
  const rest = code
    .replace(/^export (type )?\{[^}]*\} from '';/gm, '')
    .replace(/^import \* as (\w+) from '';/gm, '')
    .replace(/^export \{ \w+ \};/gm, '');
  return rest.trim() === '' ? [] : [`is more than a list of names: ${rest.trim().split('\n')[0]}`];
};

export const RULES = { arrows, inside, doors, caps, ambient, bans, textBans, names, lists };

function matches(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map(([found]) => found);
}

function namesWhatItForbids(path: string): boolean {
  return /^tests\/(tidy\.test|support\/source-rules)\.ts$/.test(path);
}

function isTest(path: string): boolean {
  return path.startsWith('tests/');
}

/** `shared/src/a/b.ts` and `../c/d.js` give `shared/src/c/d.js`. */
function resolve(path: string, from: string): string {
  return new URL(from, `file:///${path}`).pathname.slice(1);
}
