import type { Expression } from './expression.ts';
import type { SchemaObject } from './schema-keywords.ts';

/** What conversions of parts need of the whole. */
export interface SchemaContext {
  /** The expression of a schema within the schema; `NOTHING` if no value is valid. */
  visit(schema: unknown, path: string): Expression;
  /** A schema with `$ref` and `allOf` merged into it. */
  flatten(schema: SchemaObject, path: string): SchemaObject;
  /** Names an expression that is used several times. */
  name(expression: Expression): Expression;
}
