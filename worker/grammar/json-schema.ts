import { choice, isNothing, NOTHING, rule, type Rules, text } from './build-expression.ts';
import type { ByteMachine, GrammarError } from './byte-machine.ts';
import { CompileClock } from './compile-clock.ts';
import type { Expression } from './expression.ts';
import { ANY, COMMON, inArray, inObject, quoted } from './json-text.ts';
import { mergeSchemas } from './merge-schemas.ts';
import { buildNfa, END } from './nfa.ts';
import { pruneNfa, refuseLeftRecursion } from './nfa-checks.ts';
import { NfaMachine, type NfaState } from './nfa-machine.ts';
import { arrayItems } from './schema-array.ts';
import { DisjointSchemas } from './schema-disjoint.ts';
import type { SchemaContext } from './schema-context.ts';
import {
  below,
  limitsOf,
  resolveReference,
  type SchemaObject,
  schemasOf,
  type Subschema,
  unsupportedSchema,
} from './schema-keywords.ts';
import { numberValue } from './schema-number.ts';
import { objectMembers } from './schema-object.ts';
import { fixedValue, type Type, typesOf } from './schema-values.ts';
import { stringContent } from './string-content.ts';

/** Limits against schemas that grow without end: schemas within a schema, counted as often as they are merged; and nesting. */
const MOST_SCHEMAS = 10_000;
const MOST_NESTED = 100;
/** All pairs of them are compared. */
const MOST_DISJOINT = 300;

/**
 * A machine for texts of JSON that a schema validates. Not for all of them: properties come in the schema's order; others
 * only where `additionalProperties` asks for them, or no properties are named; white space is fixed; numbers and
 * repeats have limits. So each text is valid, and a small model cannot lose its way.
 *
 * @throws GrammarError with path and keyword, where a schema cannot be enforced
 */
export function compileJsonSchema(schema: unknown, clock = new CompileClock()): ByteMachine<NfaState> {
  const { root, rules } = schemaRules(schema, clock);
  const nfa = buildNfa(new Map([['root', root], ...rules, ...COMMON]), clock);
  if (pruneNfa(nfa).includes('root')) throw noValue();
  refuseLeftRecursion(nfa);
  return new NfaMachine(nfa, nfa.starts.get('root') ?? END);
}

/**
 * The texts of one schema, for a grammar with more than that: `root` refers to `rules`, and both to those of `COMMON`.
 *
 * @param prefix of the names of its rules
 * @throws GrammarError as {@link compileJsonSchema}
 */
export function schemaRules(schema: unknown, clock: CompileClock, prefix = ''): { root: Expression; rules: Rules } {
  return new Converter(schema, clock, prefix).convert();
}

/** The error for a schema under which no value is valid. */
export function noValue(): GrammarError {
  return unsupportedSchema('#', '', 'no value is valid');
}

class Converter implements SchemaContext {
  readonly clock: CompileClock;
  readonly #root: unknown;
  readonly #prefix: string;
  readonly #rules = new Map<string, Expression>();
  /** Rules of schemas that are referred to. */
  readonly #named = new Map<unknown, Expression>();
  #schemas = 0;
  #nested = 0;

  constructor(root: unknown, clock: CompileClock, prefix: string) {
    this.#root = root;
    this.clock = clock;
    this.#prefix = prefix;
  }

  convert(): { root: Expression; rules: Rules } {
    const root = this.#ruleFor({ schema: this.#root, path: '#' });
    if (isNothing(root)) throw noValue();
    return { root, rules: this.#rules };
  }

  visit(schema: unknown, path: string): Expression {
    if (schema === false) return NOTHING;
    this.clock.look();
    const limits = limitsOf(schema, path);
    const [only, ...others] = Object.keys(limits);
    if (others.length === 0 && only === '$ref')
      return this.#ruleFor(resolveReference(this.#root, limits['$ref'], path));
    if (others.length === 0 && only === 'allOf') {
      const [member, ...more] = schemasOf(limits, 'allOf', path);
      if (member !== undefined && more.length === 0)
        return this.#nest(path, () => this.visit(member, below(path, 'allOf', 0)));
    }
    return this.#nest(path, () => this.#visitFlat(this.flatten(limits, path), path));
  }

  flatten(schema: SchemaObject, path: string): SchemaObject {
    const { $ref: reference, allOf, ...rest } = limitsOf(schema, path);
    const members = allOf === undefined ? [] : [...schemasOf(schema, 'allOf', path)];
    if (reference !== undefined) members.push(resolveReference(this.#root, reference, path).schema);
    let merged: SchemaObject = rest;
    for (const [index, member] of members.entries()) {
      const at = below(path, 'allOf', index);
      if (member === false) return { enum: [] };
      const flat = this.#nest(at, () => this.flatten(limitsOf(member, at), at));
      merged = mergeSchemas(merged, flat, path);
    }
    return merged;
  }

  name(expression: Expression): Expression {
    if (expression.kind === 'rule' || expression.kind === 'class' || isNothing(expression)) return expression;
    const name = `${this.#prefix}part ${this.#rules.size}`;
    this.#rules.set(name, expression);
    return rule(name);
  }

  include(make: (prefix: string) => Rules): Expression {
    const rules = make(`${this.#prefix}text ${this.#rules.size}`);
    for (const [name, expression] of rules) this.#rules.set(name, expression);
    const [first = ''] = rules.keys();
    return rule(first);
  }

  /** The rule comes before what is in it, which may refer to it. */
  #ruleFor({ schema, path }: Subschema): Expression {
    const known = this.#named.get(schema);
    if (known) return known;
    const name = `${this.#prefix}schema ${path}`;
    this.#named.set(schema, rule(name));
    const expression = this.visit(schema, path);
    if (isNothing(expression)) this.#named.set(schema, NOTHING);
    // Also of nothing: a part of it may call it.
    this.#rules.set(name, expression);
    return isNothing(expression) ? NOTHING : rule(name);
  }

  #nest<T>(path: string, inside: () => T): T {
    this.clock.look();
    if (++this.#schemas > MOST_SCHEMAS) throw unsupportedSchema(path, '', `it has more than ${MOST_SCHEMAS} parts`);
    if (++this.#nested > MOST_NESTED) throw unsupportedSchema(path, '', `it is nested more than ${MOST_NESTED} deep`);
    const result = inside();
    this.#nested--;
    return result;
  }

  #visitFlat(schema: SchemaObject, path: string): Expression {
    if (schema['anyOf'] !== undefined) return this.#visitOptions('anyOf', schema, path);
    if (schema['oneOf'] !== undefined) return this.#visitOptions('oneOf', schema, path);
    if (schema['const'] !== undefined || schema['enum'] !== undefined) return fixedValue(schema, path, this.clock);
    const types = typesOf(schema, path);
    return types ? choice(...types.map((type) => this.#visitType(type, schema, path))) : ANY;
  }

  #visitOptions(keyword: 'anyOf' | 'oneOf', schema: SchemaObject, path: string): Expression {
    const { [keyword]: _, ...rest } = schema;
    const options = schemasOf(schema, keyword, path).flatMap((option, index) =>
      option === false ? [] : [{ option, at: below(path, keyword, index) }],
    );
    const flattened = ({ option, at }: (typeof options)[number]): SchemaObject =>
      this.#nest(at, () => this.flatten({ ...rest, allOf: [option] }, at));
    if (keyword === 'oneOf') this.#checkDisjoint(options, flattened, path);
    // Where nothing else limits the options, one that refers to a schema stays a reference: it may lead back here.
    const isAlone = Object.keys(rest).length === 0;
    return choice(
      ...options.map((each) =>
        this.#nest(each.at, () =>
          isAlone ? this.visit(each.option, each.at) : this.#visitFlat(flattened(each), each.at),
        ),
      ),
    );
  }

  #checkDisjoint<T>(options: readonly T[], flattened: (option: T) => SchemaObject, path: string): void {
    if (options.length > MOST_DISJOINT)
      throw unsupportedSchema(path, 'oneOf', `it has more than ${MOST_DISJOINT} schemas`);
    const pairs = new DisjointSchemas((part) => this.flatten(part, path), this.clock);
    const flat = options.map(flattened);
    const overlap = flat.some((one, index) => flat.slice(index + 1).some((other) => !pairs.areDisjoint(one, other)));
    if (!overlap) return;
    throw unsupportedSchema(path, 'oneOf', 'more than one of its schemas may be valid at once. Use anyOf instead');
  }

  #visitType(type: Type, schema: SchemaObject, path: string): Expression {
    switch (type) {
      case 'null':
        return text('null');
      case 'boolean':
        return choice(text('true'), text('false'));
      case 'integer':
      case 'number':
        return numberValue(type, schema, path);
      case 'string':
        return quoted(stringContent(schema, path, this));
      case 'array':
        return inArray(arrayItems(schema, path, this));
      case 'object':
        return inObject(objectMembers(schema, path, this));
    }
  }
}
