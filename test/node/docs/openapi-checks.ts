/**
 * The checks of src/openai/field-checks.ts, each with the JSON schema of the values that it accepts. openapi.test.ts
 * replaces the originals with them, so that the schema comes from the table itself. In the package, a check is only a
 * function, to save bytes.
 */
import type { Check, Fields } from '../../../src/openai/field-checks.ts';

export type Schema = Record<string, unknown>;

/** Makes a schema; `refer` makes the reference to a nested table. */
type Describe = (refer: (table: Fields) => Schema) => Schema;

const descriptions = new WeakMap<Check<unknown>, Describe>();

/** The checks, with their schemas noted. */
export function describing(real: typeof import('../../../src/openai/field-checks.ts')): typeof real {
  noted(real.boolean, () => ({ type: 'boolean' }));
  noted(real.string, () => ({ type: 'string' }));
  noted(real.anything, () => ({}));
  return {
    ...real,
    number: (minimum, maximum, exclusiveMinimum) =>
      noted(real.number(minimum, maximum, exclusiveMinimum), () => ({
        type: 'number',
        ...(exclusiveMinimum === undefined ? { minimum } : { exclusiveMinimum }),
        maximum,
      })),
    integer: (minimum, max) => {
      const maximum = max ?? Number.MAX_SAFE_INTEGER;
      return noted(real.integer(minimum, maximum), () => ({ type: 'integer', minimum, maximum }));
    },
    oneOf: (...choices) => noted(real.oneOf(...choices), () => ({ enum: choices })),
    array: (check, minItems, maxItems) =>
      noted(real.array(check, minItems, maxItems), (refer) => ({
        type: 'array',
        items: schemaOf(check, refer),
        minItems,
        maxItems,
      })),
    object: (table) => noted(real.object(table), (refer) => refer(table)),
  };
}

/** The schema of the values that a check accepts. */
export function schemaOf(check: Check<unknown>, refer: (table: Fields) => Schema): Schema {
  const describe = descriptions.get(check);
  if (!describe)
    throw new Error(`No schema is known of the check ${check.name || String(check)}: write it down in openapi.ts.`);
  return describe(refer);
}

/** Notes the schema of a check. */
export function noted<C extends Check<unknown>>(check: C, describe: Describe): C {
  descriptions.set(check, describe);
  return check;
}
