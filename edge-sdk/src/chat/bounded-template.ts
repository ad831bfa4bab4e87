import { Environment, Interpreter, Template } from '@huggingface/jinja';

/** As far as it is used here. The library's own types name files without their endings, which Node's resolution does not find. */
interface Value {
  type: string;
  value: unknown;
}
interface Scope {
  set(name: string, value: unknown): unknown;
}
type TemplateInterpreter = new (
  scope: Scope,
) => { run(program: object): Value; evaluate(node: object | undefined, scope: Scope): Value | undefined };

/** A template asks for more time or memory than any conversation needs. */
export class TemplateLimitError extends Error {}

/** Real templates have some 10,000 characters, and blanks of a few lines; the parser's time grows with the square of either. */
const SOURCE_CHARS_MAX = 65_536;
const BLANK_CHARS_MAX = 512;
/** Published templates take about 50 steps and as many per message; those with tools some more. */
const STEPS_MAX = 200_000;
const STEPS_PER_MESSAGE_MAX = 2_000;
/** Of nodes in nodes, macros' calls included: well below what the smallest stack holds. */
const DEPTH_MAX = 400;
/** Characters of one value, beside four times those of the conversation. */
const VALUE_CHARS_MAX = 1_048_576;
/** Characters that one filter may make of another's: the longest value times the longest thing put into it. */
const FILTERED_CHARS_MAX = 16_777_216;
const RANGE_MAX = 10_000;
/** Work on long values in steps: a step reads so many characters, or makes so many, of them in so many items. */
const CHARS_READ_PER_STEP = 1_024;
const CHARS_MADE_PER_STEP = 64;
const ITEMS_READ_PER_STEP = 64;
const ITEMS_MADE_PER_STEP = 1;

/**
 * A Jinja template whose rendering ends, in bounded time and memory, whatever it says. A template comes with the model and is a
 * program: loops in loops, macros that call themselves twice, texts doubled again and again. Every step of it goes
 * through `evaluate`, so it is counted there: no thread or deadline is needed, and all platforms agree on what is too much.
 *
 * The only door to @huggingface/jinja.
 */
export class BoundedTemplate {
  readonly #template: Template;
  readonly #fillers = new WeakSet<object>();

  /** @throws Error for a source that is no Jinja, TemplateLimitError for one that is too long */
  constructor(source: string) {
    if (source.length > SOURCE_CHARS_MAX)
      throw new TemplateLimitError(`it has ${source.length} characters, limit ${SOURCE_CHARS_MAX}`);
    if (LONG_BLANK.test(source))
      throw new TemplateLimitError(`it has a blank of more than ${BLANK_CHARS_MAX} characters`);
    this.#template = new Template(source);
    collectFillers(this.#template.parsed, this.#fillers);
  }

  /** @throws TemplateLimitError, and what the template raises */
  render(messages: readonly object[], values: Record<string, unknown>): string {
    const environment: Scope = new Environment();
    for (const [name, value] of Object.entries({ ...GLOBALS, ...values, messages })) environment.set(name, value);
    const meter = new MeteredInterpreter(environment, this.#fillers, {
      steps: STEPS_MAX + STEPS_PER_MESSAGE_MAX * messages.length,
      valueChars: VALUE_CHARS_MAX + 4 * JSON.stringify(messages).length,
    });
    return String(meter.run(this.#template.parsed).value);
  }
}

const LONG_BLANK = new RegExp(`\\s{${BLANK_CHARS_MAX + 1}}`);

/** As the library's own, which it does not give out; its `range` makes any list that it is asked for. */
const GLOBALS = {
  true: true,
  True: true,
  false: false,
  False: false,
  none: null,
  None: null,
  raise_exception(reason: unknown) {
    throw new Error(String(reason));
  },
  strftime_now: (format: string) => new Template('{{ strftime_now(format) }}').render({ format }),
  range(first: number, end?: number, step = 1): number[] {
    const [from, to] = end === undefined ? [0, first] : [first, end];
    if (step === 0) throw new Error('range() step must not be zero');
    const count = Math.max(0, Math.ceil((to - from) / step));
    if (!(count <= RANGE_MAX)) throw new TemplateLimitError(`range() of ${count} numbers, limit ${RANGE_MAX}`);
    return Array.from({ length: count }, (_, i) => from + i * step);
  },
};

class MeteredInterpreter extends (Interpreter as TemplateInterpreter) {
  readonly #fillers: WeakSet<object>;
  readonly #limits: { steps: number; valueChars: number };
  /** Characters of values that were seen before; values do not change. */
  readonly #known = new WeakMap<object, number>();
  #steps = 0;
  #depth = 0;
  #longest = 0;
  #longestFiller = 0;

  constructor(scope: Scope, fillers: WeakSet<object>, limits: { steps: number; valueChars: number }) {
    super(scope);
    this.#fillers = fillers;
    this.#limits = limits;
  }

  override evaluate(node: object | undefined, scope: Scope): Value | undefined {
    this.#spend(1);
    if (this.#depth >= DEPTH_MAX) throw new TemplateLimitError(`more than ${DEPTH_MAX} nodes inside one another`);
    this.#depth++;
    const value = super.evaluate(node, scope);
    this.#depth--;
    // The library gives nothing at all for the first item of an empty list.
    if (value === undefined) return undefined;
    const isNew = !this.#known.has(value);
    const chars = this.#weigh(value);
    const items = Array.isArray(value.value) ? value.value.length : 0;
    if (chars > this.#limits.valueChars)
      throw new TemplateLimitError(`a value of ${chars} characters, limit ${this.#limits.valueChars}`);
    this.#spend(chars / CHARS_READ_PER_STEP + items / ITEMS_READ_PER_STEP);
    if (isNew) this.#spend(chars / CHARS_MADE_PER_STEP + items / ITEMS_MADE_PER_STEP);
    this.#longest = Math.max(this.#longest, chars);
    if (node && this.#fillers.has(node)) this.#longestFiller = Math.max(this.#longestFiller, fillerChars(value, chars));
    // Arguments may come before or after what they are put into; so the longest of each count, whatever the order.
    if (this.#longest * this.#longestFiller > FILTERED_CHARS_MAX)
      throw new TemplateLimitError(`a filter on ${this.#longest} characters puts in ${this.#longestFiller} each`);
    return value;
  }

  #spend(steps: number): void {
    this.#steps += steps;
    if (this.#steps > this.#limits.steps) throw new TemplateLimitError(`more than ${this.#limits.steps} steps`);
  }

  /** Characters in a value and all that it holds; other values count as one. */
  #weigh(value: Value): number {
    const known = this.#known.get(value);
    if (known !== undefined) return known;
    let chars = 1;
    const inner: unknown = value.value;
    if (typeof inner === 'string') chars = inner.length;
    else if (Array.isArray(inner)) for (const item of inner) chars += item === undefined ? 1 : this.#weigh(item);
    // A namespace can change, and hold itself; what is put into it was weighed before.
    else if (inner instanceof Map && value.type !== 'NamespaceValue')
      for (const [key, item] of inner as Map<string, Value>) chars += key.length + this.#weigh(item);
    this.#known.set(value, chars);
    return chars;
  }
}

/** What a number stands for as the width of an indentation. */
function fillerChars(value: Value, chars: number): number {
  return typeof value.value === 'number' ? Math.abs(value.value) : chars;
}

/** Filters that put an argument into a value again and again, and the first of their arguments that does it. */
const FILLING: Readonly<Record<string, number>> = { replace: 1, join: 0, indent: 0, tojson: 0 };

interface Call {
  args?: unknown[];
  callee?: { value?: unknown; property?: { value?: unknown } };
}

/** Finds the arguments of such filters and methods, whatever the node around them is called. */
function collectFillers(node: unknown, found: WeakSet<object>): void {
  if (typeof node !== 'object' || node === null) return;
  const { args, callee } = node as Call;
  const first = FILLING[String(callee?.property?.value ?? callee?.value)];
  if (Array.isArray(args) && first !== undefined) {
    const positional = args.filter((arg) => !isKeyword(arg));
    for (const arg of positional.slice(first)) found.add(arg as object);
    for (const arg of args.filter(isKeyword)) found.add(arg.value);
  }
  const children = node instanceof Map ? [...node.entries()].flat() : Object.values(node);
  for (const child of children) collectFillers(child, found);
}

function isKeyword(arg: unknown): arg is { value: object } {
  return (arg as { type?: unknown }).type === 'KeywordArgumentExpression';
}
