import { ERRORS, isNearsightError, NearsightError } from '../protocol/errors.ts';

/**
 * Reads one value of a request: returns it with its type, or throws a 400 that names `path`. A check with parts gives `defer`
 * what a remote may be able to do, and reads the other parts.
 */
export type Check<T> = (value: unknown, path: string, defer?: Defer) => T;

/**
 * Takes a fault that does not make the request invalid. It is thrown when all has been read: if it were at once, the order of
 * fields would decide whether a remote is sent a request with an invalid one, which it may ignore.
 */
export type Defer = (fault: NearsightError) => void;

const raise: Defer = (fault) => {
  throw fault;
};

/** A field whose value reaches the model or the answer. */
export interface Honoured<T> {
  support: 'honoured';
  /** The APIs that document the field: a sum of `Dialect` bits. */
  documentedBy: number;
  read: Check<T>;
}

/** A field that is accepted and has no effect here, because its absence changes no answer. */
export interface Harmless {
  support: 'harmless';
  documentedBy: number;
}

/** A field that asks for something we cannot do. */
export interface Refused {
  support: 'refused';
  documentedBy: number;
  why: string;
  /** Values that request nothing, and are accepted: scalars, arrays of scalars, or the empty object. */
  noopValues: readonly unknown[];
}

export type Field = Honoured<unknown> | Harmless | Refused;
export type Fields = Readonly<Record<string, Field>>;

/** The result of {@link readFields}: the honoured fields, typed. */
export type Values<F extends Fields> = {
  [Name in keyof F as F[Name] extends Honoured<unknown> ? Name : never]?:
    | (F[Name] extends Honoured<infer T> ? T : never)
    | undefined;
};

/**
 * Reads an object by its table: honours or refuses each field. `null` is the same as absent, and so is what was deferred.
 *
 * @throws NearsightError `invalid_request` for an unknown field or a bad value, `unsupported_field` for a refused one
 */
export function readFields<F extends Fields>(value: unknown, fields: F, path: string, defer = raise): Values<F> {
  if (!isObject(value)) throw mustBe('an object', value, path);
  const values: Record<string, unknown> = {};
  for (const [name, item] of Object.entries(value)) {
    const at = path ? `${path}.${clip(name)}` : clip(name);
    const field = fieldOf(fields, name);
    if (!field) throw new NearsightError('invalid_request', `Unknown field: ${at}. Remove it.`, { param: at });
    if (item === null || item === undefined) continue;
    if (field.support === 'honoured') values[name] = attempt(field.read, item, at, defer);
    if (field.support === 'refused' && !isNoop(field.noopValues, item)) defer(unsupported(field.why, at));
  }
  // Each field was read by its row's check, as the type `Values` has it.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return values as Values<F>;
}

/** Does a check, and defers its fault if the request may still be valid. */
function attempt<T>(check: Check<T>, value: unknown, path: string, defer = raise): T | undefined {
  try {
    return check(value, path, defer);
  } catch (fault) {
    if (!isNearsightError(fault) || ERRORS[fault.code].reroute === false) throw fault;
    defer(fault);
    return undefined;
  }
}

/** The row of that name, if the table itself has one. */
export function fieldOf(fields: Fields, name: string): Field | undefined {
  return Object.hasOwn(fields, name) ? fields[name] : undefined;
}

/** A nested object with its own table. */
export function object<F extends Fields>(fields: F): Check<Values<F>> {
  return (value, path, defer) => readFields(value, fields, path, defer);
}

export const boolean: Check<boolean> = (value, path) => {
  if (typeof value !== 'boolean') throw mustBe('true or false', value, path);
  return value;
};

export const string: Check<string> = (value, path) => {
  if (typeof value !== 'string') throw mustBe('a string', value, path);
  return value;
};

/** For values that depend on other fields: they are read later. */
export const anything: Check<unknown> = (value) => value;

/** @param above the value must be greater than this, as well as within `min` and `max` */
export function number(min: number, max: number, above = -Infinity): Check<number> {
  const range = above > -Infinity ? `above ${above} and at most ${max}` : `from ${min} to ${max}`;
  return (value, path) => {
    if (typeof value !== 'number' || !(value >= min && value <= max && value > above)) {
      throw mustBe(`a number ${range}`, value, path);
    }
    return value;
  };
}

export function integer(min: number, max = Number.MAX_SAFE_INTEGER): Check<number> {
  const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
  return (value, path) => {
    if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
      throw mustBe(`an integer ${range}`, value, path);
    }
    return value;
  };
}

export function oneOf<T extends string>(...choices: readonly T[]): Check<T> {
  const list = choices.map((choice) => `'${choice}'`).join(', ');
  return (value, path) => {
    const choice = choices.find((one) => one === value);
    if (choice === undefined) throw mustBe(`one of ${list}`, value, path, quoted(value));
    return choice;
  };
}

export function array<T>(check: Check<T>, min: number, max: number): Check<T[]> {
  return (value, path, defer) => {
    if (!Array.isArray(value) || value.length < min || value.length > max) {
      throw mustBe(max === Infinity ? 'an array' : `an array of ${min} to ${max} items`, value, path);
    }
    const items: T[] = [];
    value.forEach((item: unknown, index) => {
      const read = attempt(check, item, `${path}[${index}]`, defer);
      if (read !== undefined) items.push(read);
    });
    return items;
  };
}

/** A JSON object: neither `null` nor an array. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The 400 for a value of the wrong type or range. It does not repeat the value, which may be private or huge. */
export function mustBe(what: string, value: unknown, path: string, actual = describe(value)): NearsightError {
  const message = `${path || 'The body'} must be ${what}, but it is ${actual}.`;
  return new NearsightError('invalid_request', message, { param: path || undefined });
}

/** The 400 for a documented field that cannot be honoured. */
export function unsupported(why: string, path: string): NearsightError {
  return new NearsightError('unsupported_field', `${path} cannot be honoured here: ${why}.`, { param: path });
}

/** Whether a value is a no-op value. Without `JSON.stringify`, which overflows the stack on deeply nested requests. */
export function isNoop(values: Refused['noopValues'], value: unknown): boolean {
  return values.some((noop) => {
    if (Array.isArray(noop)) {
      return Array.isArray(value) && value.length === noop.length && noop.every((item, i) => item === value[i]);
    }
    if (!isObject(noop) || !isObject(value)) return noop === value;
    const keys = Object.keys(value);
    return keys.length === Object.keys(noop).length && keys.every((key) => noop[key] === value[key]);
  });
}

/** A value where a name is expected: short, not private, and helpful in the message. */
export function quoted(value: unknown): string {
  return typeof value === 'string' ? `'${clip(value)}'` : describe(value);
}

function describe(value: unknown): string {
  if (value === undefined) return 'missing';
  if (value === null) return 'null';
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === 'number') return String(value);
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

function clip(name: string): string {
  return name.length > 80 ? `${name.slice(0, 80)}…` : name;
}
