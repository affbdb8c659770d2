import { format as formats } from '@cfworker/json-schema';
import { same } from './merge-schemas.ts';
import { below, hasType, isSchemaObject, resolveReference, type SchemaObject } from './schema-keywords.ts';

/** How deep schemas are followed into a value at once. Each level takes some frames of the stack, which an answer may exhaust. */
const DEEPEST = 100;

/** What lies too deep is checked first, with a stack of its own. */
class TooDeep extends Error {
  readonly schema: unknown;
  readonly place: Place;

  constructor(schema: unknown, place: Place) {
    super();
    this.schema = schema;
    this.place = place;
  }
}

/**
 * Checks values against a schema that compiles, without its patterns. In a time that grows with the schema times the value, as long
 * as the value is not nested deeper than schemas are followed at once.
 */
export class SchemaValidator {
  readonly #root: unknown;
  #depth = 0;

  constructor(root: unknown) {
    this.#root = root;
  }

  /** @returns where the value breaks which keyword; undefined if it is valid */
  failure(value: unknown): string | undefined {
    const whole = { schema: this.#root, place: new Place(value, '#') };
    const waiting: { schema: unknown; place: Place }[] = [whole];
    for (let next = waiting.at(-1); next; next = waiting.at(-1)) {
      // A waiting check may have a provisional verdict, from below.
      next.place.verdicts.delete(next.schema);
      try {
        this.#failureAt(next.schema, next.place);
        waiting.pop();
      } catch (error) {
        if (!(error instanceof TooDeep)) throw error;
        const { schema, place } = error;
        const leadsBack = waiting.some((each) => each.schema === schema && each.place === place);
        if (leadsBack) place.verdicts.set(schema, undefined);
        else waiting.push(error);
      }
    }
    return whole.place.verdicts.get(whole.schema);
  }

  #failureAt(schema: unknown, place: Place): string | undefined {
    const { verdicts } = place;
    if (verdicts.has(schema)) return verdicts.get(schema);
    if (this.#depth === DEEPEST) throw new TooDeep(schema, place);
    // A reference that leads back here without a step into the value adds nothing.
    verdicts.set(schema, undefined);
    this.#depth++;
    try {
      const broken = isSchemaObject(schema)
        ? this.#broken(schema, place)
        : schema === false
          ? place.says('false')
          : undefined;
      verdicts.set(schema, broken);
      return broken;
    } catch (error) {
      // It will be checked again once what lies deeper is known.
      verdicts.delete(schema);
      throw error;
    } finally {
      this.#depth--;
    }
  }

  #broken(schema: SchemaObject, place: Place): string | undefined {
    for (const [keyword, limit] of Object.entries(schema)) {
      if (Object.hasOwn(LIMITS, keyword) && LIMITS[keyword]?.(place.value, limit) === false) return place.says(keyword);
      const broken = this.#brokenWithin(keyword, limit, schema, place);
      if (broken !== undefined) return broken;
    }
    return undefined;
  }

  /** Of keywords with schemas. */
  #brokenWithin(keyword: string, limit: unknown, schema: SchemaObject, place: Place): string | undefined {
    const first = (parts: readonly (readonly [schema: unknown, place: Place])[]): string | undefined => {
      for (const [part, at] of parts) {
        const broken = this.#failureAt(part, at);
        if (broken !== undefined) return broken;
      }
      return undefined;
    };
    switch (keyword) {
      case '$ref':
        return this.#failureAt(resolveReference(this.#root, limit, place.path).schema, place);
      case 'allOf':
        return first(listOf(limit).map((part) => [part, place]));
      case 'anyOf':
        return listOf(limit).some((part) => this.#failureAt(part, place) === undefined)
          ? undefined
          : place.says(keyword);
      case 'oneOf':
        return listOf(limit).filter((part) => this.#failureAt(part, place) === undefined).length === 1
          ? undefined
          : place.says(keyword);
      case 'properties':
        return first(
          place.names.flatMap((name) =>
            Object.hasOwn(Object(limit), name) ? [[Object(limit)[name], place.at(name)]] : [],
          ),
        );
      case 'additionalProperties':
        return first(
          place.names
            .filter((name) => !Object.hasOwn(Object(schema['properties']), name))
            .map((name) => [limit, place.at(name)]),
        );
      case 'propertyNames':
        return first(place.names.map((name) => [limit, place.named(name)]));
      case 'prefixItems':
        return first(
          place.items.slice(0, listOf(limit).length).map((index) => [listOf(limit)[index], place.at(index)]),
        );
      case 'items':
        if (Array.isArray(limit)) return this.#brokenWithin('prefixItems', limit, schema, place);
        return first(place.items.slice(listOf(schema['prefixItems']).length).map((index) => [limit, place.at(index)]));
      case 'additionalItems':
        if (!Array.isArray(schema['items'])) return undefined;
        return first(place.items.slice(schema['items'].length).map((index) => [limit, place.at(index)]));
      default:
        return undefined;
    }
  }
}

/**
 * A place in a value, with what is known of it: options of unions have schemas in common, which would be checked again for
 * each, twice as often at each level.
 */
class Place {
  readonly value: unknown;
  readonly path: string;
  /** By schema: what is broken, or undefined. */
  readonly verdicts = new Map<unknown, string | undefined>();
  readonly #inside = new Map<string | number, Place>();
  readonly #names = new Map<string, Place>();

  constructor(value: unknown, path: string) {
    this.value = value;
    this.path = path;
  }

  /** Of an object's members. */
  get names(): readonly string[] {
    return isSchemaObject(this.value) ? Object.keys(this.value) : [];
  }

  /** Of an array's items. */
  get items(): readonly number[] {
    return Array.isArray(this.value) ? [...this.value.keys()] : [];
  }

  at(key: string | number): Place {
    const known = this.#inside.get(key);
    if (known) return known;
    const place = new Place(Object(this.value)[key], below(this.path, key));
    this.#inside.set(key, place);
    return place;
  }

  /** The name of a member, as a value. */
  named(key: string): Place {
    const known = this.#names.get(key);
    if (known) return known;
    const place = new Place(key, below(this.path, key));
    this.#names.set(key, place);
    return place;
  }

  says(keyword: string): string {
    return `${this.path} breaks '${keyword}'`;
  }
}

type Limit = (value: unknown, limit: unknown) => boolean;

const ofNumbers =
  (holds: (value: number, limit: number) => boolean): Limit =>
  (value, limit) =>
    typeof value !== 'number' || holds(value, Number(limit));
const ofLengths =
  (lengthOf: (value: unknown) => number | undefined, holds: (length: number, limit: number) => boolean): Limit =>
  (value, limit) => {
    const length = lengthOf(value);
    return length === undefined || holds(length, Number(limit));
  };
const characters = (value: unknown): number | undefined =>
  typeof value === 'string' ? Array.from(value).length : undefined;
const items = (value: unknown): number | undefined => (Array.isArray(value) ? value.length : undefined);
const members = (value: unknown): number | undefined => (isSchemaObject(value) ? Object.keys(value).length : undefined);
const atLeast = (value: number, limit: number): boolean => value >= limit;
const atMost = (value: number, limit: number): boolean => value <= limit;

/** Keywords without schemas, by whether a value follows them. */
const LIMITS: Readonly<Record<string, Limit>> = {
  type: (value, limit) => (Array.isArray(limit) ? limit : [limit]).some((type) => hasType(value, type)),
  enum: (value, limit) => listOf(limit).some((each) => same(each, value)),
  const: same,
  minimum: ofNumbers(atLeast),
  maximum: ofNumbers(atMost),
  exclusiveMinimum: ofNumbers((value, limit) => value > limit),
  exclusiveMaximum: ofNumbers((value, limit) => value < limit),
  multipleOf: ofNumbers((value, limit) => value % limit === 0),
  minLength: ofLengths(characters, atLeast),
  maxLength: ofLengths(characters, atMost),
  format: (value, limit) => typeof value !== 'string' || !isFormat(limit) || formats[limit]?.(value) !== false,
  minItems: ofLengths(items, atLeast),
  maxItems: ofLengths(items, atMost),
  uniqueItems: (value, limit) =>
    limit !== true ||
    !Array.isArray(value) ||
    value.every((one, index) => value.slice(index + 1).every((other) => !same(one, other))),
  minProperties: ofLengths(members, atLeast),
  maxProperties: ofLengths(members, atMost),
  required: (value, limit) =>
    !isSchemaObject(value) || listOf(limit).every((name) => Object.hasOwn(value, String(name))),
};

/** Not `url`, which no standard names: its expression takes exponential time. */
function isFormat(name: unknown): name is string {
  return typeof name === 'string' && name !== 'url' && Object.hasOwn(formats, name);
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
