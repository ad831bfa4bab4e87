/** Templates that would go on for ever or take all memory, each with a word of the refusal that it should meet. */
const longText = '{% set ns = namespace(t="x") %}{% for a in range(19) %}{% set ns.t = ns.t ~ ns.t %}{% endfor %}';
const forever = (body: string) =>
  `{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}${body}{% endfor %}{% endfor %}{% endfor %}`;

export const HOSTILE_TEMPLATES: Record<string, [source: string, reason: string]> = {
  'loops in loops': [forever('x'), 'steps'],
  'a macro that calls itself': ['{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}', 'inside one another'],
  'macros in a circle': [
    '{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{{ f() }}{% endmacro %}{{ f() }}',
    'inside one another',
  ],
  'a macro that calls itself twice': [
    '{% macro f(n) %}{% if n > 0 %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}',
    'steps',
  ],
  'a namespace that holds itself': ['{% set ns = namespace() %}{% set ns.me = ns %}{{ ns | tojson }}', 'call stack'],
  'a text doubled again and again': [`${longText.replace('19', '99')}{{ ns.t }}`, 'a value of'],
  'a list doubled again and again': [
    '{% set ns = namespace(t=[1]) %}{% for a in range(99) %}{% set ns.t = ns.t + ns.t %}{% endfor %}',
    'steps',
  ],
  'lists in lists': [
    '{% set ns = namespace(t=[1]) %}{% for a in range(99) %}{% set ns.t = [ns.t, ns.t] %}{% endfor %}{{ ns.t }}',
    'a value of',
  ],
  'a long range': ['{% for a in range(1000000000) %}x{% endfor %}', 'range()'],
  'a wide indentation': ['{{ "x\n\nx\n" | indent(1000000000) }}', 'a filter'],
  'wide JSON': ['{{ [[1, 2], [3]] | tojson(indent=1000000000) }}', 'a filter'],
  'a long replacement of each letter': [`${longText}{{ ns.t | replace("x", ns.t) }}`, 'a filter'],
  'such a method': [`${longText}{{ ns.t.replace("x", ns.t) }}`, 'a filter'],
  'a long text between many': [`${longText}{{ range(9999) | join(ns.t) }}`, 'a filter'],
  'searching a long text': [longText + forever('{% if (ns.t ~ "y") in ns.t %}{% endif %}'), 'steps'],
  'copying a long text': [longText + forever('{% set copy = ns.t | upper %}'), 'steps'],
  'keeping long lists': [
    `${longText}{% set ns.all = [] %}${forever('{% set ns.all = ns.all + [(ns.t | replace("x", "x,")).split(",")] %}')}`,
    'steps',
  ],
  'a long source': ['{{'.repeat(100_000), 'characters, limit'],
  'a long blank': [`{%${' '.repeat(60_000)}x`, 'a blank'],
};
