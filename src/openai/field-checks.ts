import { NearsightError } from '../protocol/errors.ts';

/** Reads one value of a request: gives it back with its type, or throws a 400 that names `path`. */
export type Check<T> = (value: unknown, path: string) => T;

/** A field whose value reaches the model or the answer. */
export interface Honoured<T> {
  support: 'honoured';
  /** Who documents the field: a sum of `Dialect` bits. */
  documentedBy: number;
  read: Check<T>;
}

/** A field that is accepted and has no effect here, because none can be missed. */
export interface Harmless {
  support: 'harmless';
  documentedBy: number;
}

/** A field that asks for something we cannot do. */
export interface Refused {
  support: 'refused';
  documentedBy: number;
  why: string;
  /** Values that ask for nothing, and are accepted: scalars, arrays of scalars, or the empty object. */
  noopValues: readonly unknown[];
}

export type Field = Honoured<unknown> | Harmless | Refused;
export type Fields = Readonly<Record<string, Field>>;

/** What is left of an object after {@link readFields}: its honoured fields, typed. */
export type Values<F extends Fields> = {
  [Name in keyof F as F[Name] extends Honoured<unknown> ? Name : never]?:
    | (F[Name] extends Honoured<infer T> ? T : never)
    | undefined;
};

/**
 * Reads an object by its table: honours or refuses each field. `null` is the same as absent.
 *
 * @throws NearsightError `invalid_request` for an unknown field or a bad value, `unsupported_field` for a refused one
 */
export function readFields<F extends Fields>(value: unknown, fields: F, path: string): Values<F> {
  if (!isObject(value)) throw mustBe('an object', value, path);
  const values: Record<string, unknown> = {};
  for (const [name, given] of Object.entries(value)) {
    const at = path ? `${path}.${clip(name)}` : clip(name);
    const field = fieldOf(fields, name);
    if (!field) throw new NearsightError('invalid_request', `Unknown field: ${at}. Remove it.`, { param: at });
    if (given === null || given === undefined) continue;
    if (field.support === 'honoured') values[name] = field.read(given, at);
    if (field.support === 'refused' && !isNoop(field.noopValues, given)) throw unsupported(field.why, at);
  }
  // Each name was read by its own row's check, which is what `Values` says.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return values as Values<F>;
}

/** The row of that name, if the table itself has one. */
export function fieldOf(fields: Fields, name: string): Field | undefined {
  return Object.hasOwn(fields, name) ? fields[name] : undefined;
}

/** A nested object with its own table. */
export function object<F extends Fields>(fields: F): Check<Values<F>> {
  return (value, path) => readFields(value, fields, path);
}

export const boolean: Check<boolean> = (value, path) => {
  if (typeof value !== 'boolean') throw mustBe('true or false', value, path);
  return value;
};

export const string: Check<string> = (value, path) => {
  if (typeof value !== 'string') throw mustBe('a string', value, path);
  return value;
};

/** For values whose shape depends on their neighbours: they are read later. */
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
  return (value, path) => {
    if (!Array.isArray(value) || value.length < min || value.length > max) {
      throw mustBe(max === Infinity ? 'an array' : `an array of ${min} to ${max} items`, value, path);
    }
    return value.map((item: unknown, index) => check(item, `${path}[${index}]`));
  };
}

/** A JSON object: neither `null` nor an array. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The 400 for a value of the wrong type or range. By itself it never repeats the value, which may be private or huge. */
export function mustBe(what: string, value: unknown, path: string, said = describe(value)): NearsightError {
  const message = `${path || 'The body'} must be ${what}, but it is ${said}.`;
  return new NearsightError('invalid_request', message, { param: path || undefined });
}

/** The 400 for a field that is understood and cannot be honoured. */
export function unsupported(why: string, path: string): NearsightError {
  return new NearsightError('unsupported_field', `${path} cannot be honoured here: ${why}.`, { param: path });
}

/** Whether a value is one of these. By hand: a request may be nested more deeply than `JSON.stringify` can go. */
export function isNoop(values: Refused['noopValues'], value: unknown): boolean {
  return values.some((inert) => {
    if (Array.isArray(inert)) {
      return Array.isArray(value) && value.length === inert.length && inert.every((item, i) => item === value[i]);
    }
    return isObject(inert) ? isObject(value) && Object.keys(value).length === 0 : inert === value;
  });
}

/** A name that was given for one of ours: not private, and telling. */
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
