import { describe, expect, test } from 'vitest';
import { readSourceFiles, sourceFile } from './support/source-files.js';
import { RULES } from './support/source-rules.js';

/** House style as far as a program can read it: arrows between packages, doors, caps and bans. `npm run check`. */
const files = readSourceFiles();

test('the source is where it is expected', () => {
  for (const folder of ['shared/', 'edge-sdk/', 'cloud-server/', 'model-kit/', 'tests/']) {
    expect(files.filter(({ path }) => path.startsWith(folder)).length, folder).toBeGreaterThan(5);
  }
});

test.each(Object.entries(RULES))('%s', (_name, rule) => {
  const violations = files.flatMap((file) => rule(file).map((what) => `${file.path}: ${what}`));
  expect(violations).toEqual([]);
});

/** A rule that cannot fail is worth nothing. */
describe('control', () => {
  const long = (lines: number) => `function f() {\n${'  g();\n'.repeat(lines)}}\n`;
  test.each<[keyof typeof RULES, string, string, number]>([
    ['arrows', 'shared/src/a.ts', "import { x } from '@tandem/edge';", 1],
    ['arrows', 'edge-sdk/src/a.ts', "import { x } from '@tandem/cloud';", 1],
    ['arrows', 'edge-sdk/src/a.ts', "import { x } from '@tandem/netsim';", 1],
    ['arrows', 'edge-sdk/src/a.ts', "import { x } from '../../shared/src/errors.js';", 1],
    ['arrows', 'tests/unit/a.test.ts', "import { x } from '../../edge-sdk/dist/index.js';", 1],
    ['arrows', 'tests/unit/a.test.ts', "import {\n  x,\n} from '@tandem/edge/dist/model.js';", 1],
    ['arrows', 'cloud-server/src/a.ts', "import { x } from '@tandem/shared/node';", 0],
    ['inside', 'shared/src/protocol/a.ts', "import { x } from '../codec/registry.js';", 1],
    ['inside', 'shared/src/protocol/a.ts', "import { x } from '../numeric/crc32.js';", 0],
    ['inside', 'edge-sdk/src/ledger/a.ts', "import type { X } from '../link/cloud-link.js';", 1],
    ['doors', 'shared/src/protocol/frame.ts', "import { encode } from '@msgpack/msgpack';", 1],
    ['doors', 'edge-sdk/src/model.ts', "import { Subject } from 'rxjs';", 1],
    ['doors', 'edge-sdk/src/model.ts', "import type { Observable } from 'rxjs';", 0],
    ['doors', 'edge-sdk/src/model.ts', "import { type Observable, type Subject } from 'rxjs';", 0],
    ['doors', 'edge-sdk/src/model.ts', "const runtime = await import('onnxruntime-node');", 1],
    ['caps', 'shared/src/a.ts', '// line\n'.repeat(301), 1],
    ['caps', 'shared/src/a.ts', '// line\n'.repeat(300), 0],
    ['caps', 'shared/src/a.ts', long(69), 1],
    ['caps', 'shared/src/a.ts', long(68), 0],
    [
      'caps',
      'shared/src/a.ts',
      `class A {\n  async #b(c: number): Promise<void> {\n${'    g();\n'.repeat(69)}  }\n}\n`,
      1,
    ],
    ['ambient', 'shared/src/a.ts', 'const now = Date.now();', 1],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: code may hide in a template string
    ['ambient', 'shared/src/a.ts', 'const text = `at ${performance.now()}`;', 1],
    ['ambient', 'shared/src/a.ts', "// Date.now\nconst a = 'Math.random';", 0],
    ['ambient', 'shared/src/platform/clock.ts', 'performance.now();', 0],
    ['ambient', 'tests/unit/a.test.ts', 'await new Promise((resolve) => setTimeout(resolve, 5));', 1],
    ['bans', 'shared/src/a.ts', 'const a = b as any;', 1],
    ['bans', 'shared/src/a.ts', 'function a(b: any) {}', 1],
    ['bans', 'shared/src/a.ts', "export * from './b.js';", 1],
    ['bans', 'shared/src/a.ts', 'const len = 5;', 1],
    ['bans', 'shared/src/a.ts', 'command.opts();', 0],
    ['bans', 'shared/src/a.ts', '/** any len */ const length = 5;', 0],
    ['textBans', 'shared/src/a.ts', '// see /work/main', 1],
    ['textBans', 'shared/src/a.ts', '// TODO: later', 1],
    ['textBans', 'shared/src/a.ts', "const a = new URL('http://host/work/x');", 0],
    ['names', 'shared/src/rowCodec.ts', '', 1],
    ['names', 'shared/src/row_codec.ts', '', 1],
    ['names', 'tests/unit/row-codec.test.ts', '', 0],
    ['names', 'shared/src/a.ts', 'export default 5;', 1],
    ['lists', 'shared/src/index.ts', "export { a } from './a.js';\nconst b = 5;", 1],
    [
      'lists',
      'shared/src/index.ts',
      "export {\n  a,\n  type B,\n} from './a.js';\nimport * as l from './l.js';\nexport { l };",
      0,
    ],
  ])('%s: %s %j', (rule, path, text, violations) => {
    expect(RULES[rule](sourceFile(path, text))).toHaveLength(violations);
  });
});
