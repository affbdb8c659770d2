import { Environment, Interpreter, parse, tokenize } from '@huggingface/jinja';
import { NearsightError } from '../../src/protocol/errors.ts';

type Statement = Parameters<Interpreter['evaluate']>[0];
type Value = ReturnType<Interpreter['evaluate']>;

/** As many characters as a template may have. Those of the models that we know have at most 17,000. */
const MOST_TEMPLATE = 65_536;
/** The tokenizer takes time with the square of the white space in one place. */
const MOST_SPACE = 500;
/** Milliseconds for one rendering, which takes one or two. */
const DEADLINE = 2000;
/** Characters of one value, besides four times the chat's own. An item of a list counts as some, so that lists end as well. */
const MOST_VALUE = 2 ** 20;
const ITEM = 16;
const MOST_DEPTH = 32;
/** All that one rendering computes, in the largest values. */
const MOST_VALUES = 32;
/** Filters and methods whose result may be many times their operand: their arguments are written in the template. */
const GROWING = new Set(['replace', 'indent', 'tojson', 'join']);
const MOST_ARGUMENT = 128;
const MOST_INDENT = 16;

/** Where a value is only looked up. */
const LOOKUPS = new Set(['Identifier', 'MemberExpression', 'StringLiteral']);

/** A chat template that ends, whatever it says: it comes with the model, and may come from anybody. */
export interface BoundedTemplate {
  /**
   * @param input plain data, as variables
   * @throws NearsightError `invalid_request` with what the template itself says against the chat; `load_failed` when it fails
   *   or exceeds its time or memory
   */
  render(input: Record<string, unknown>): string;
}

/** @throws NearsightError `load_failed` for a template that is too long, is none, or uses what cannot be bounded */
export function openTemplate(text: string): BoundedTemplate {
  if (text.length > MOST_TEMPLATE) throw failed(`has ${text.length} characters; at most ${MOST_TEMPLATE} are accepted`);
  // Without a quantifier's backtracking over each run.
  if (text.split(/\S/).some((space) => space.length > MOST_SPACE)) {
    throw failed(`has more than ${MOST_SPACE} characters of white space in one place`);
  }
  const program = attempt(() => parse(tokenize(text, { lstrip_blocks: true, trim_blocks: true })));
  attempt(() => checkGrowth(program));
  return {
    render(input) {
      const environment = new Environment();
      const constants = { true: true, false: false, none: null, True: true, False: false, None: null };
      for (const [name, value] of Object.entries({ ...constants, raise_exception: refuse, range, ...input })) {
        environment.set(name, value);
      }
      const most = MOST_VALUE + 4 * lengthOf(input);
      const value: unknown = attempt(() => new BoundedInterpreter(environment, most).run(program).value);
      if (typeof value === 'string') return value;
      throw failed('gives no text');
    },
  };
}

/** Checks each step. No single one takes long, because no value is large. */
class BoundedInterpreter extends Interpreter {
  readonly #end = performance.now() + DEADLINE;
  readonly #most: number;
  #left: number;
  readonly #weights = new WeakMap<object, number>();

  constructor(environment: Environment, most: number) {
    super(environment);
    this.#most = most;
    this.#left = most * MOST_VALUES;
  }

  override evaluate(statement: Statement, environment: Environment): Value {
    if (performance.now() > this.#end) throw failed(`takes longer than ${DEADLINE / 1000} s`);
    const value = super.evaluate(statement, environment);
    const type = statement?.type ?? '';
    // The argument checks find methods by the names in the template.
    if (type === 'MemberExpression' && value.type === 'FunctionValue' && isComputed(statement)) {
      throw failed('computes the name of a method');
    }
    const weight = this.#weigh(value, 0);
    if (!LOOKUPS.has(type)) this.#left -= weight;
    if (weight > this.#most || this.#left < 0) throw failed('makes too much text');
    return value;
  }

  /** Characters of a value if it were text, with those of its items: lists that share items count them each time. */
  #weigh(value: Value, depth: number): number {
    const { value: content }: { value: unknown } = value;
    if (typeof content === 'string') return Math.max(1, content.length);
    // Lists and objects never change. A namespace does, and would have to be weighed again each time.
    if (value.type === 'NamespaceValue') return depth === 0 ? 1 : Infinity;
    if (!Array.isArray(content) && !(content instanceof Map)) return 1;
    if (depth > MOST_DEPTH) return Infinity;
    const known = this.#weights.get(content);
    if (known !== undefined) return known;
    let weight = ITEM;
    const items: Iterable<Value> = content.values();
    for (const item of items) {
      weight += ITEM + this.#weigh(item, depth + 1);
      if (weight > this.#most) break;
    }
    this.#weights.set(content, weight);
    return weight;
  }
}

/** Python's, of numbers that a chat could need. */
function range(start: number, stop?: number, step = 1): number[] {
  const [first, last] = stop === undefined ? [0, start] : [start, stop];
  const length = Math.ceil((last - first) / step);
  if (!(Math.abs(length) <= MOST_VALUE / ITEM)) throw failed('makes too long a range');
  return Array.from({ length: Math.max(0, length) }, (_, at) => first + at * step);
}

/** `raise_exception`, by which templates refuse chats: two turns of one role in a row, say. */
function refuse(reason: unknown): never {
  const said = String(reason).slice(0, 200);
  throw new NearsightError('invalid_request', `The model's chat template refuses these messages: ${said}`, {
    param: 'messages',
  });
}

/** Walks a template's syntax tree. */
function checkGrowth(program: object): void {
  const nodes: unknown[] = [program];
  const called = new Set<unknown>();
  while (nodes.length > 0) {
    const node = nodes.pop();
    if (typeof node !== 'object' || node === null) continue;
    if (node instanceof Map) nodes.push(...node.keys(), ...node.values());
    else nodes.push(...Object.values(node));
    const { type, callee, property, computed, args }: Record<string, unknown> = Object(node);
    if (type === 'CallExpression' && GROWING.has(nameOf(callee) ?? '')) {
      called.add(callee);
      if (!Array.isArray(args) || !args.every(isSmall))
        throw failed(`gives ${nameOf(callee)} an argument that is not small`);
    }
    // Children are visited after their call.
    if (type === 'MemberExpression' && !computed && GROWING.has(nameOf(property) ?? '') && !called.has(node)) {
      throw failed(`uses the method ${nameOf(property)} without calling it`);
    }
  }
}

/** What is called: `name(…)`, `value.name(…)`, `value | name(…)`. */
function nameOf(node: unknown): string | undefined {
  const { type, value, property, computed }: Record<string, unknown> = Object(node);
  if (type === 'Identifier') return typeof value === 'string' ? value : undefined;
  return type === 'MemberExpression' && !computed ? nameOf(property) : undefined;
}

/** A literal that cannot make a result many times larger than its operand. */
function isSmall(node: unknown): boolean {
  const { type, value }: Record<string, unknown> = Object(node);
  switch (type) {
    case 'StringLiteral':
      return typeof value === 'string' && value.length <= MOST_ARGUMENT;
    case 'IntegerLiteral':
      return typeof value === 'number' && value <= MOST_INDENT;
    case 'TupleLiteral':
    case 'ArrayLiteral':
      return Array.isArray(value) && value.every(isSmall);
    case 'KeywordArgumentExpression':
      return isSmall(value);
    case 'Identifier':
      return typeof value === 'string' && /^(true|false|none)$/i.test(value);
    default:
      return false;
  }
}

function isComputed(node: unknown): boolean {
  const { computed }: Record<string, unknown> = Object(node);
  return computed === true;
}

function lengthOf(input: unknown): number {
  return JSON.stringify(input).length;
}

/** Runs a step of the template's, whose errors are then told as such. */
function attempt<Result>(step: () => Result): Result {
  try {
    return step();
  } catch (cause) {
    if (cause instanceof NearsightError) throw cause;
    throw failed(`fails: ${cause instanceof Error ? cause.message.slice(0, 200) : 'unknown'}`, cause);
  }
}

function failed(why: string, cause?: unknown): NearsightError {
  return new NearsightError('load_failed', `The model's chat template ${why}.`, { cause });
}
