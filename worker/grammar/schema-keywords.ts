import { GrammarError } from './byte-machine.ts';

/** A JSON Schema that is an object. */
export type SchemaObject = Readonly<Record<string, unknown>>;

/** Keywords that say nothing about what is valid, also those of OpenAPI. */
const ANNOTATIONS = new Set(
  '$schema $id $anchor $comment $defs definitions title description default examples example deprecated readOnly writeOnly contentEncoding contentMediaType nullable discriminator externalDocs xml strict'.split(
    ' ',
  ),
);

/** Keywords that say something about values of one type. */
export const KEYWORDS_OF = {
  object: ['properties', 'required', 'additionalProperties', 'minProperties', 'maxProperties', 'propertyNames'],
  array: ['items', 'prefixItems', 'additionalItems', 'minItems', 'maxItems', 'uniqueItems'],
  string: ['minLength', 'maxLength', 'pattern', 'format'],
  number: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'],
} as const;

const FOR_ALL = ['type', 'enum', 'const', 'anyOf', 'oneOf', 'allOf', '$ref'];
const ENFORCED = new Set<string>([...FOR_ALL, ...Object.values(KEYWORDS_OF).flat()]);

/** The error for a schema that cannot be enforced as a whole. */
export function unsupportedSchema(path: string, keyword: string, why: string): GrammarError {
  const name = keyword === '' ? 'the schema' : `'${keyword}'`;
  return new GrammarError(`${name} at ${path} cannot be enforced: ${why}`);
}

export function isSchemaObject(value: unknown): value is SchemaObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether a value is of a type of JSON Schema. */
export function hasType(value: unknown, type: unknown): boolean {
  if (type === 'integer') return Number.isInteger(value);
  if (type === 'array') return Array.isArray(value);
  if (type === 'null') return value === null;
  return type === 'object' ? isSchemaObject(value) : typeof value === type;
}

/**
 * The keywords of a schema that limit what is valid.
 *
 * @throws GrammarError for a keyword that cannot be enforced, or is unknown
 */
export function limitsOf(schema: unknown, path: string): SchemaObject {
  if (schema === true) return {};
  if (!isSchemaObject(schema)) throw unsupportedSchema(path, '', 'a schema is an object or a boolean');
  const limits: Record<string, unknown> = {};
  for (const [keyword, value] of Object.entries(schema)) {
    if (ANNOTATIONS.has(keyword) || keyword.startsWith('x-') || value === undefined) continue;
    if (value === null && keyword !== 'const') throw unsupportedSchema(path, keyword, 'it is null');
    if (!ENFORCED.has(keyword)) {
      throw unsupportedSchema(path, keyword, 'the keyword is not known here. Remove it, or check the answer yourself');
    }
    limits[keyword] = value;
  }
  return limits;
}

/** A keyword that is a count; undefined if absent. */
export function countOf(schema: SchemaObject, keyword: string, path: string): number | undefined {
  const value = schema[keyword];
  if (value === undefined) return undefined;
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0) return value;
  throw unsupportedSchema(path, keyword, 'it must be an integer of at least 0');
}

export function numberOf(schema: SchemaObject, keyword: string, path: string): number | undefined {
  const value = schema[keyword];
  if (value === undefined) return undefined;
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  throw unsupportedSchema(path, keyword, 'it must be a number');
}

export function stringsOf(schema: SchemaObject, keyword: string, path: string): readonly string[] {
  const value = schema[keyword] ?? [];
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value;
  throw unsupportedSchema(path, keyword, 'it must be an array of strings');
}

/** The schemas in a keyword that is an array of them. */
export function schemasOf(schema: SchemaObject, keyword: string, path: string): readonly unknown[] {
  const value = schema[keyword] ?? [];
  if (Array.isArray(value)) return value;
  throw unsupportedSchema(path, keyword, 'it must be an array of schemas');
}

/** The named schemas in a keyword that is an object of them. */
export function namedSchemasOf(schema: SchemaObject, keyword: string, path: string): ReadonlyMap<string, unknown> {
  const value = schema[keyword] ?? {};
  if (isSchemaObject(value)) return new Map(Object.entries(value));
  throw unsupportedSchema(path, keyword, 'it must be an object of schemas');
}

/** A part of a path: a JSON Pointer as the fragment of a URL. */
export function below(path: string, ...keys: readonly (string | number)[]): string {
  return [path, ...keys.map((key) => String(key).replaceAll('~', '~0').replaceAll('/', '~1'))].join('/');
}

/** A schema within a schema, and where it is. */
export interface Subschema {
  schema: unknown;
  path: string;
}

/** @throws GrammarError where there is none */
export function resolveReference(root: unknown, reference: unknown, path: string): Subschema {
  const steps = typeof reference === 'string' ? /^#(?:\/(.*))?$/s.exec(reference) : null;
  if (!steps) throw unsupportedSchema(path, '$ref', 'only references within the schema, like #/$defs/name, are known');
  let target = root;
  for (const step of steps[1]?.split('/') ?? []) {
    const key = unescapePointer(step);
    const inside: unknown = Array.isArray(target) && /^\d+$/.test(key) ? target[Number(key)] : undefined;
    target = isSchemaObject(target) && Object.hasOwn(target, key) ? target[key] : inside;
  }
  if (target === undefined) throw unsupportedSchema(path, '$ref', `${steps[0]} is not in the schema`);
  return { schema: target, path: steps[0] };
}

function unescapePointer(step: string): string {
  try {
    return decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~');
  } catch {
    return step;
  }
}
