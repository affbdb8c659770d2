import { choice, EMPTY, NOTHING, sequence } from './build-expression.ts';
import { GrammarError } from './byte-machine.ts';
import type { Expression } from './expression.ts';
import { BETWEEN } from './json-text.ts';

export interface Part {
  expression: Expression;
  required: boolean;
}

/** How many parts there may be. */
export interface Counts {
  min: number;
  max: number;
}

/** A counted list has a rule for each part and number of parts before it. */
const MOST_COUNTED = 5000;

/**
 * A list of parts in their order, with `, ` between them; any may be missing that is not required.
 *
 * @param name gives an expression a name: the rest of a list is used by all lists that continue with it
 * @param more what may come after them, if anything came before it and if nothing did
 */
export function ordered(
  parts: readonly Part[],
  { min, max }: Counts,
  name: (expression: Expression) => Expression,
  more = { others: EMPTY, alone: EMPTY },
): Expression {
  const counted = min > parts.filter(({ required }) => required).length || max < parts.length;
  if (counted && parts.length * Math.min(max, parts.length) > MOST_COUNTED) {
    throw new GrammarError(`${parts.length} parts are too many to count`);
  }
  const known = new Map<string, Expression>();
  const firstRequired = parts.findIndex(({ required }) => required);
  /** Behind parts that may all be missing there are two ways to write a part: with a comma before it, and without. */
  const isShared = (index: number): boolean =>
    counted || (index > 0 && (firstRequired === -1 || index <= firstRequired));
  const named = parts.map(({ expression, required }, index) => ({
    expression: isShared(index) ? name(expression) : expression,
    required,
  }));

  /** The list from a part on, after so many others. (Uncounted, all numbers but 0 are the same.) */
  const rest = (index: number, count: number): Expression => {
    if (count > max) return NOTHING;
    const part = named[index];
    if (!part) return counted && count < min ? NOTHING : count === 0 ? more.alone : more.others;
    const key = `${index} ${count}`;
    const found = known.get(key);
    if (found) return found;
    const next = counted ? count + 1 : 1;
    const here = sequence(count === 0 ? EMPTY : BETWEEN, part.expression, rest(index + 1, next));
    // It may be reached in two ways: through an optional part before it, and past that part.
    const isReachedTwice = named[index - 1]?.required === false;
    const made = !part.required ? name(choice(here, rest(index + 1, count))) : isReachedTwice ? name(here) : here;
    known.set(key, made);
    return made;
  };
  return rest(0, 0);
}
