import type { Rules } from './build-expression.ts';
import type { CompileClock } from './compile-clock.ts';
import type { Expression } from './expression.ts';
import type { SchemaObject } from './schema-keywords.ts';

/** What conversions of parts need of the whole. */
export interface SchemaContext {
  readonly clock: CompileClock;
  /** The expression of a schema within the schema; `NOTHING` if no value is valid. */
  visit(schema: unknown, path: string): Expression;
  /** A schema with `$ref` and `allOf` merged into it. */
  flatten(schema: SchemaObject, path: string): SchemaObject;
  /** Adds rules whose names start with a prefix of their own. Returns a call of the first. */
  include(make: (prefix: string) => Rules): Expression;
  /** Names an expression that is used several times. */
  name(expression: Expression): Expression;
}
