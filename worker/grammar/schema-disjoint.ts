import type { CompileClock } from './compile-clock.ts';
import { canonical } from './merge-schemas.ts';
import { hasType, isSchemaObject, type SchemaObject } from './schema-keywords.ts';

/** Properties of properties are not looked at deeper: schemas may refer to themselves. */
const DEEPEST = 4;

/** What is compared of a schema, again for each schema that it is compared with. */
interface Facts {
  /** Its fixed values; and their texts, which are the same where the values are. */
  values: readonly unknown[] | undefined;
  texts: ReadonlySet<string>;
  types: ReadonlySet<unknown> | undefined;
  properties: SchemaObject;
  required: ReadonlySet<unknown>;
}

/** Compares the options of one union with each other. */
export class DisjointSchemas {
  readonly #flatten: (schema: SchemaObject) => SchemaObject;
  readonly #clock: CompileClock;
  readonly #flat = new Map<SchemaObject, SchemaObject>();
  readonly #facts = new Map<SchemaObject, Facts>();

  /** @param flatten replaces a schema that refers to others */
  constructor(flatten: (schema: SchemaObject) => SchemaObject, clock: CompileClock) {
    this.#flatten = flatten;
    this.#clock = clock;
  }

  /** Whether no value can be valid for both, as far as types, fixed values and required properties tell. */
  areDisjoint(one: SchemaObject, other: SchemaObject, depth = 0): boolean {
    this.#clock.spend();
    const [mine, theirs] = [this.#factsOf(one), this.#factsOf(other)];
    if (mine.values && theirs.values) return this.#haveNone(mine.texts, (text) => theirs.texts.has(text));
    if (mine.values) return this.#excludes(theirs.types, mine.values);
    if (theirs.values) return this.#excludes(mine.types, theirs.values);
    const { types } = theirs;
    if (!mine.types || !types) return false;
    const common = [...mine.types].filter((type) => types.has(type) || (isNumeric(type) && [...types].some(isNumeric)));
    this.#clock.spend(mine.types.size);
    if (common.length === 0) return true;
    if (depth === DEEPEST || common.some((type) => type !== 'object')) return false;
    return this.#haveDisjointProperty(mine, theirs, depth);
  }

  /** As with a union whose members have a property that names their kind. */
  #haveDisjointProperty(one: Facts, other: Facts, depth: number): boolean {
    return Object.keys(one.properties).some((name) => {
      this.#clock.spend();
      if (!one.required.has(name) || !other.required.has(name) || !Object.hasOwn(other.properties, name)) return false;
      const [a, b] = [one.properties[name], other.properties[name]];
      return (
        isSchemaObject(a) && isSchemaObject(b) && this.areDisjoint(this.#flattened(a), this.#flattened(b), depth + 1)
      );
    });
  }

  #excludes(types: ReadonlySet<unknown> | undefined, values: readonly unknown[]): boolean {
    return (
      types !== undefined &&
      this.#haveNone(values, (value) => {
        this.#clock.spend(types.size);
        return [...types].some((type) => hasType(value, type));
      })
    );
  }

  #haveNone<T>(items: Iterable<T>, is: (item: T) => boolean): boolean {
    for (const item of items) {
      this.#clock.spend();
      if (is(item)) return false;
    }
    return true;
  }

  #flattened(schema: SchemaObject): SchemaObject {
    const known = this.#flat.get(schema) ?? this.#flatten(schema);
    this.#flat.set(schema, known);
    return known;
  }

  #factsOf(schema: SchemaObject): Facts {
    const known = this.#facts.get(schema);
    if (known) return known;
    const { type, properties, required } = schema;
    const values = valuesOf(schema);
    const facts = {
      values,
      texts: new Set(values?.map(canonical)),
      types: type === undefined ? undefined : new Set(Array.isArray(type) ? type : [type]),
      properties: isSchemaObject(properties) ? properties : {},
      required: new Set(Array.isArray(required) ? required : []),
    };
    this.#facts.set(schema, facts);
    return facts;
  }
}

function valuesOf(schema: SchemaObject): readonly unknown[] | undefined {
  if (schema['const'] !== undefined) return [schema['const']];
  return Array.isArray(schema['enum']) ? schema['enum'] : undefined;
}

function isNumeric(type: unknown): boolean {
  return type === 'integer' || type === 'number';
}
