import { same } from './merge-schemas.ts';
import { hasType, isSchemaObject, type SchemaObject } from './schema-keywords.ts';

/** Properties of properties are not looked at deeper: schemas may refer to themselves. */
const DEEPEST = 4;

/**
 * Whether no value can be valid for both, as far as types, fixed values and required properties tell.
 *
 * @param resolve replaces a schema that refers to another one
 */
export function areDisjoint(
  one: SchemaObject,
  other: SchemaObject,
  resolve: (schema: unknown) => unknown,
  depth = 0,
): boolean {
  const [values, others] = [valuesOf(one), valuesOf(other)];
  if (values && others) return !values.some((value) => others.some((wanted) => same(value, wanted)));
  const [types, otherTypes] = [typesOf(one), typesOf(other)];
  if (values) return !!otherTypes && !values.some((value) => otherTypes.some((type) => hasType(value, type)));
  if (others) return !!types && !others.some((value) => types.some((type) => hasType(value, type)));
  if (!types || !otherTypes) return false;
  const common = types.filter((type) => otherTypes.some((wanted) => overlap(type, wanted)));
  if (common.length === 0) return true;
  if (depth === DEEPEST || common.some((type) => type !== 'object')) return false;
  return haveDisjointProperty(one, other, (first, second) => areDisjoint(first, second, resolve, depth + 1), resolve);
}

/** As with a union whose members have a property that names their kind. */
function haveDisjointProperty(
  one: SchemaObject,
  other: SchemaObject,
  disjoint: (one: SchemaObject, other: SchemaObject) => boolean,
  resolve: (schema: unknown) => unknown,
): boolean {
  const [mine, theirs] = [propertiesOf(one), propertiesOf(other)];
  return Object.keys(mine).some((name) => {
    if (!isRequired(one, name) || !isRequired(other, name) || !Object.hasOwn(theirs, name)) return false;
    const [a, b] = [resolve(mine[name]), resolve(theirs[name])];
    return isSchemaObject(a) && isSchemaObject(b) && disjoint(a, b);
  });
}

function propertiesOf(schema: SchemaObject): SchemaObject {
  return isSchemaObject(schema['properties']) ? schema['properties'] : {};
}

function isRequired(schema: SchemaObject, name: string): boolean {
  return Array.isArray(schema['required']) && schema['required'].includes(name);
}

function valuesOf(schema: SchemaObject): readonly unknown[] | undefined {
  if (schema['const'] !== undefined) return [schema['const']];
  return Array.isArray(schema['enum']) ? schema['enum'] : undefined;
}

function typesOf(schema: SchemaObject): readonly unknown[] | undefined {
  const types = schema['type'];
  return types === undefined ? undefined : Array.isArray(types) ? types : [types];
}

function overlap(one: unknown, other: unknown): boolean {
  const numeric = (type: unknown): boolean => type === 'integer' || type === 'number';
  return one === other || (numeric(one) && numeric(other));
}
