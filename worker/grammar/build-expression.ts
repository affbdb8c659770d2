import { codePoints, type Range } from './code-points.ts';
import { codePoint, type Expression } from './expression.ts';

/** Rules by name. That of the whole text is named `root`. */
export type Rules = ReadonlyMap<string, Expression>;

/** Matches nothing, not even the empty text. */
export const NOTHING: Expression = { kind: 'choice', options: [] };
/** Matches the empty text alone. */
export const EMPTY: Expression = { kind: 'sequence', parts: [] };

export function isNothing(expression: Expression): boolean {
  return expression.kind === 'choice' && expression.options.length === 0;
}

function isEmpty(expression: Expression): boolean {
  return expression.kind === 'sequence' && expression.parts.length === 0;
}

export function text(value: string): Expression {
  return sequence(...Array.from(value, (character) => codePoint(character.codePointAt(0) ?? 0)));
}

/** One character of these ranges of ASCII, each as its first and last character, or one that is both. */
export function chars(...ranges: readonly string[]): Expression {
  const set = ranges.map((range): Range => [range.codePointAt(0) ?? 0, range.codePointAt(range.length - 1) ?? 0]);
  return { kind: 'class', set: codePoints(set) };
}

export function rule(name: string): Expression {
  return { kind: 'rule', name };
}

export function sequence(...parts: readonly Expression[]): Expression {
  if (parts.some(isNothing)) return NOTHING;
  const [only = EMPTY, ...others] = parts.filter((part) => !isEmpty(part));
  return others.length === 0 ? only : { kind: 'sequence', parts: [only, ...others] };
}

export function choice(...options: readonly Expression[]): Expression {
  const [only = NOTHING, ...others] = options.filter((option) => !isNothing(option));
  return others.length === 0 ? only : { kind: 'choice', options: [only, ...others] };
}

/** @param max default: any number of times */
export function repeat(part: Expression, min = 0, max = Infinity): Expression {
  if (max < min || (isNothing(part) && min > 0)) return NOTHING;
  if (max === 0 || isNothing(part) || isEmpty(part)) return EMPTY;
  return min === 1 && max === 1 ? part : { kind: 'repeat', part, min, max };
}

export function optional(part: Expression): Expression {
  return repeat(part, 0, 1);
}
