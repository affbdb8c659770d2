import type { CodePoints } from './code-points.ts';

/** What regular expressions and grammars are parsed to. */
export type Expression =
  /** One code point of a set. */
  | { kind: 'class'; set: CodePoints }
  | { kind: 'sequence'; parts: readonly Expression[] }
  | { kind: 'choice'; options: readonly Expression[] }
  /** `max` is Infinity for no limit. */
  | { kind: 'repeat'; part: Expression; min: number; max: number }
  /** No text, but from here to the end of the whole text there is (or, if `not`, is not) one of `part`. */
  | { kind: 'ahead'; part: Expression; not: boolean }
  /** A call of the rule with this name. Regular expressions have none. */
  | { kind: 'rule'; name: string };

export function codePoint(value: number): Expression {
  return { kind: 'class', set: [[value, value]] };
}

/** Nested sequences and choices are merged: what looks at an expression's shape need not look through parentheses. */
export function sequence(parts: readonly Expression[]): Expression {
  const flat = parts.flatMap((part) => (part.kind === 'sequence' ? part.parts : [part]));
  return flat.length === 1 && flat[0] ? flat[0] : { kind: 'sequence', parts: flat };
}

export function choice(options: readonly Expression[]): Expression {
  const flat = options.flatMap((option) => (option.kind === 'choice' ? option.options : [option]));
  return flat.length === 1 && flat[0] ? flat[0] : { kind: 'choice', options: flat };
}
