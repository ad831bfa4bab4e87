import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { ChatTemplate } from '@tandem/edge/testing';
import { describe, expect, it } from 'vitest';
import { HOSTILE_TEMPLATES } from '../support/hostile-templates.js';

/** What a conversation needs and a little more; a whole second where nothing else runs. */
const CPU_MS_MAX = 1_000;
const HEAP_MIB_MAX = 128;

const PROGRAM = fileURLToPath(new URL('../dist/support/run-hostile-templates.js', import.meta.url));

describe('hostile chat templates', () => {
  it('meet a typed error within a second, in a process with little memory', async () => {
    const memory = `--max-old-space-size=${HEAP_MIB_MAX}`;
    const { stdout } = await promisify(execFile)(process.execPath, [memory, PROGRAM]);
    const results: Record<string, { message: string; ms: number }> = JSON.parse(stdout);
    expect(Object.keys(results)).toEqual(Object.keys(HOSTILE_TEMPLATES));
    for (const [name, [, reason]] of Object.entries(HOSTILE_TEMPLATES)) {
      const { message, ms } = results[name]!;
      expect(message, name).toMatch(/BUNDLE_CORRUPT: the model's chat template takes more than a conversation needs: /);
      expect(message, name).toContain(reason);
      expect(ms, name).toBeLessThan(CPU_MS_MAX);
    }
  });
});

describe('what templates may do', () => {
  const render = (source: string, count = 1, content = 'hello') =>
    new ChatTemplate(source, {}).render(Array.from({ length: count }, () => ({ role: 'user', content })));

  it('grows with the conversation', () => {
    const perMessage =
      '{% for m in messages %}{% if messages[0].role == "user" and loop.index0 >= 0 %}{{ m.content | replace("l", "1") | trim }}{% endif %}{% endfor %}';
    expect(render(perMessage, 4_000)).toHaveLength(4_000 * 5);
    expect(render(perMessage, 2, 'l'.repeat(500_000))).toBe('1'.repeat(1_000_000));
  });

  it('covers globals and filters with arguments, as the library has them', () => {
    expect(render('{{ range(3) | join(", ") }} {{ range(2, 5) | list }} {{ range(5, 1, -2) | list }}')).toBe(
      '0, 1, 2 [2, 3, 4] [5, 3]',
    );
    expect(render('{{ [{"a": 1}] | tojson(indent=2) }}')).toBe('[\n  {\n    "a": 1\n  }\n]');
    expect(render('{{ "a\nb" | indent(2, true) }}{{ true }}{{ none is none }}')).toBe('  a\n  btruetrue');
    expect(render('{{ strftime_now("%Y") }}')).toMatch(/^\d{4}$/);
    expect(() => render('{{ raise_exception("no system role") }}')).toThrow(/refuses these messages: no system role$/);
    expect(() => render('{% for a in range(1, 9, 0) %}{% endfor %}')).toThrow('range() step must not be zero');
  });
});
