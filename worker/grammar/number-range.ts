import { chars, choice, EMPTY, NOTHING, optional, repeat, sequence, text } from './build-expression.ts';
import type { Expression } from './expression.ts';

/** Bounds of a number; absent: none. */
export interface Bounds {
  min: number | undefined;
  max: number | undefined;
  /** Whether the bound itself is allowed. */
  minIncluded: boolean;
  maxIncluded: boolean;
}

/** Integers of more digits are not exact as JavaScript numbers. */
const MOST_DIGITS = 15;
/** Of a number with a fraction: with the fraction's digits it still compares like the decimal number that is written. */
const MOST_WHOLE_DIGITS = 9;
const MOST_FRACTION_DIGITS = 6;

const DIGIT = chars('09');
const digits = (min: number, max = min): Expression => repeat(DIGIT, min, max);
/** One digit from `first` to `last`. */
const digit = (first: number, last: number): Expression =>
  first > last ? NOTHING : first === last ? text(String(first)) : chars(`${first}${last}`);

/** The integers within bounds, of at most 15 digits, as JSON writes them. */
export function integers({ min = -Infinity, max = Infinity, minIncluded, maxIncluded }: Bounds): Expression {
  const limit = 10 ** MOST_DIGITS - 1;
  const first = Math.max(Math.ceil(min) + (!minIncluded && Number.isInteger(min) ? 1 : 0), -limit);
  const last = Math.min(Math.floor(max) - (!maxIncluded && Number.isInteger(max) ? 1 : 0), limit);
  return choice(sequence(text('-'), naturals(Math.max(1, -last), -first)), naturals(Math.max(0, first), last));
}

/** Integers from `first`, which is not negative, to `last`. */
function naturals(first: number, last: number): Expression {
  if (first > last) return NOTHING;
  const [from, to] = [String(first), String(last)];
  const options: Expression[] = [];
  for (let length = from.length; length <= to.length; length++) {
    const low = length === from.length ? from : `1${'0'.repeat(length - 1)}`;
    const high = length === to.length ? to : '9'.repeat(length);
    options.push(between(low, high));
  }
  return choice(...options);
}

/** Texts of digits from `low` to `high`, which are of the same length. */
function between(low: string, high: string): Expression {
  const [a, b, rest] = [Number(low[0]), Number(high[0]), low.length - 1];
  if (low === '') return EMPTY;
  if (/^0*$/.test(low) && /^9*$/.test(high)) return digits(low.length);
  if (a === b) return sequence(digit(a, a), between(low.slice(1), high.slice(1)));
  const lowest = /^.0*$/.test(low) ? a : a + 1;
  const highest = /^.9*$/.test(high) ? b : b - 1;
  return choice(
    ...(lowest > a ? [sequence(digit(a, a), between(low.slice(1), '9'.repeat(rest)))] : []),
    sequence(digit(lowest, highest), digits(rest)),
    ...(highest < b ? [sequence(digit(b, b), between('0'.repeat(rest), high.slice(1)))] : []),
  );
}

/** A bound of a number that is not negative: `whole.fraction`, without zeros at the end. */
interface Edge {
  whole: number;
  fraction: string;
  included: boolean;
}

/**
 * The numbers within bounds as decimals of at most 9 and 6 digits; of larger ones, the integers of at most 15. So there are numbers
 * within the bounds that it never writes, and it writes none that is outside of them once it is read as a double.
 */
export function numbers(bounds: Bounds): Expression {
  const limit = 10 ** MOST_WHOLE_DIGITS;
  const { min = -Infinity, max = Infinity, minIncluded, maxIncluded } = bounds;
  if (min >= limit || max <= -limit) return integers(bounds);
  const low = min < -limit ? -limit : min;
  const high = max > limit ? limit : max;
  return choice(
    min < -limit ? integers({ ...bounds, max: -limit - 1, maxIncluded: true }) : NOTHING,
    max > limit ? integers({ ...bounds, min: limit + 1, minIncluded: true }) : NOTHING,
    low < 0
      ? sequence(
          text('-'),
          decimals(edge(Math.max(0, -high), high > 0 || maxIncluded), edge(-low, minIncluded || min < -limit)),
        )
      : NOTHING,
    high >= 0
      ? decimals(edge(Math.max(0, low), low < 0 || minIncluded), edge(high, maxIncluded || max > limit))
      : NOTHING,
  );
}

/** The shortest decimal number that reads as this one. */
function edge(value: number, included: boolean): Edge {
  const [mantissa = '', exponent = '0'] = String(value).split('e');
  const [whole = '', fraction = ''] = mantissa.split('.');
  const shift = Math.max(0, -Number(exponent));
  const written = (whole + fraction).padStart(shift + whole.length, '0');
  const point = written.length - fraction.length - shift;
  return { whole: Math.floor(value), fraction: written.slice(Math.max(0, point)).replace(/0+$/, ''), included };
}

function decimals(low: Edge, high: Edge): Expression {
  const limit = Math.max(MOST_FRACTION_DIGITS, low.fraction.length + 1, high.fraction.length + 1);
  if (low.whole > high.whole) return NOTHING;
  const whole = text(String(low.whole));
  if (low.whole === high.whole) return sequence(whole, fractionBetween(low, high, limit));
  return choice(
    sequence(whole, fractionAbove(low, limit)),
    sequence(naturals(low.whole + 1, high.whole - 1), optional(sequence(text('.'), digits(1, limit)))),
    sequence(text(String(high.whole)), fractionBelow(high, limit)),
  );
}

function fractionAbove({ fraction, included }: Edge, limit: number): Expression {
  const tail = sequence(text('.'), tailAbove(fraction, included, limit, 1));
  return fraction === '' && included ? choice(EMPTY, tail) : tail;
}

function fractionBelow({ fraction, included }: Edge, limit: number): Expression {
  if (fraction === '') return included ? EMPTY : NOTHING;
  return choice(EMPTY, sequence(text('.'), tailBelow(fraction, included, limit)));
}

function fractionBetween(low: Edge, high: Edge, limit: number): Expression {
  if (low.fraction === high.fraction) {
    if (!low.included || !high.included) return NOTHING;
    return low.fraction === '' ? EMPTY : text(`.${low.fraction}`);
  }
  if (low.fraction > high.fraction) return NOTHING;
  const tail = sequence(text('.'), tailBetween(low, high, limit));
  return low.fraction === '' && low.included ? choice(EMPTY, tail) : tail;
}

/** Digits of a fraction of at least (above, unless `included`) 0.`low`; at least `least` of them. */
function tailAbove(low: string, included: boolean, limit: number, least = 0): Expression {
  if (low === '') {
    if (included) return digits(least, limit);
    const zeros = Array.from({ length: limit }, (_, count) => count);
    return choice(
      ...zeros.map((count) => sequence(text('0'.repeat(count)), digit(1, 9), digits(0, limit - count - 1))),
    );
  }
  const first = Number(low[0]);
  return choice(
    sequence(digit(first + 1, 9), digits(0, limit - 1)),
    sequence(digit(first, first), tailAbove(low.slice(1), included, limit - 1)),
  );
}

/** Digits of a fraction, one or more, of at most (below, unless `included`) 0.`high`, which is above 0. */
function tailBelow(high: string, included: boolean, limit: number): Expression {
  const first = Number(high[0]);
  const rest = high.slice(1);
  const tail = rest === '' ? (included ? EMPTY : NOTHING) : choice(EMPTY, tailBelow(rest, included, limit - 1));
  return choice(sequence(digit(0, first - 1), digits(0, limit - 1)), sequence(digit(first, first), tail));
}

/** Digits of a fraction, one or more, from 0.`low` to 0.`high`, which is greater. */
function tailBetween(low: Pick<Edge, 'fraction' | 'included'>, high: typeof low, limit: number): Expression {
  const [a, b] = [Number(low.fraction[0] ?? 0), Number(high.fraction[0])];
  const [above, below] = [low.fraction.slice(1), high.fraction.slice(1)];
  if (a === b) {
    const tail = tailBetween(
      { fraction: above, included: low.included },
      { fraction: below, included: high.included },
      limit - 1,
    );
    const endsHere = above === '' && low.included;
    return sequence(digit(a, a), endsHere ? choice(EMPTY, tail) : tail);
  }
  const atHigh =
    below === '' ? (high.included ? EMPTY : NOTHING) : choice(EMPTY, tailBelow(below, high.included, limit - 1));
  return choice(
    sequence(digit(a, a), tailAbove(above, low.included, limit - 1)),
    sequence(digit(a + 1, b - 1), digits(0, limit - 1)),
    sequence(digit(b, b), atHigh),
  );
}
