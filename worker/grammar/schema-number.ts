import { choice, text } from './build-expression.ts';
import type { Expression } from './expression.ts';
import { type Bounds, integers, numbers } from './number-range.ts';
import { numberOf, type SchemaObject, unsupportedSchema } from './schema-keywords.ts';

const MOST_MULTIPLES = 1000;

export function numberValue(type: 'integer' | 'number', schema: SchemaObject, path: string): Expression {
  const bounds = boundsOf(schema, path);
  const step = numberOf(schema, 'multipleOf', path);
  if (step !== undefined && !(step === 1 && type === 'integer')) return multiples(step, bounds, path);
  return type === 'integer' ? integers(bounds) : numbers(bounds);
}

function boundsOf(schema: SchemaObject, path: string): Bounds {
  const [minimum, above] = [numberOf(schema, 'minimum', path), numberOf(schema, 'exclusiveMinimum', path)];
  const [maximum, under] = [numberOf(schema, 'maximum', path), numberOf(schema, 'exclusiveMaximum', path)];
  const minIncluded = above === undefined || (minimum !== undefined && minimum > above);
  const maxIncluded = under === undefined || (maximum !== undefined && maximum < under);
  for (const [keyword, bound] of [
    ['exclusiveMinimum', above],
    ['exclusiveMaximum', under],
  ] as const) {
    if (bound === undefined || digitsOf(bound) <= EXACT_DIGITS) continue;
    throw unsupportedSchema(path, keyword, `a bound of more than ${EXACT_DIGITS} digits is not exact`);
  }
  return { min: minIncluded ? minimum : above, max: maxIncluded ? maximum : under, minIncluded, maxIncluded };
}

/** Decimal numbers of so many digits and one more, which is written after them, are different doubles. */
const EXACT_DIGITS = 14;

function digitsOf(value: number): number {
  return String(value).replace(/e.*$/, '').replace(/\D/g, '').replace(/^0+/, '').length;
}

function multiples(step: number, { min, max, minIncluded, maxIncluded }: Bounds, path: string): Expression {
  if (!Number.isInteger(step) || step < 1) {
    throw unsupportedSchema(path, 'multipleOf', 'only integers of at least 1 can be enforced');
  }
  if (min === undefined || max === undefined || (max - min) / step > MOST_MULTIPLES) {
    const why = `it takes minimum and maximum, with at most ${MOST_MULTIPLES} multiples between them`;
    throw unsupportedSchema(path, 'multipleOf', why);
  }
  if (Math.max(Math.abs(min), Math.abs(max)) > Number.MAX_SAFE_INTEGER) {
    throw unsupportedSchema(path, 'multipleOf', 'with bounds so large it is not exact');
  }
  const first = Math.ceil(min / step);
  const multiplesBetween = Array.from(
    { length: Math.floor(max / step) - first + 1 },
    (_, index) => (first + index) * step,
  );
  const allowed = multiplesBetween.filter((value) => (value > min || minIncluded) && (value < max || maxIncluded));
  return choice(...allowed.map((value) => text(String(value))));
}
