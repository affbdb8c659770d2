/**
 * The checks of src/openai/field-checks.ts, each with the JSON schema of what it takes. openapi.test.ts puts them in the place of
 * the originals when it loads the table of fields, so that the table says itself what its values may be: in the package,
 * where each byte counts, a check is a function and nothing else.
 */
import type { Check, Fields } from '../../../src/openai/field-checks.ts';

export type Schema = Record<string, unknown>;

/** Given how to refer to a nested table. */
type Describe = (refer: (table: Fields) => Schema) => Schema;

const descriptions = new WeakMap<Check<unknown>, Describe>();

/** The checks themselves, whose makers note what they make. */
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
    integer: (minimum, most) => {
      const maximum = most ?? Number.MAX_SAFE_INTEGER;
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

/** What a check takes. */
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
