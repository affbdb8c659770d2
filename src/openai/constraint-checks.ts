import { NearsightError } from '../protocol/errors.ts';
import type { TextConstraint } from '../protocol/job.ts';
import { array, boolean, isObject, mustBe, oneOf, string, unsupported, type Check } from './field-checks.ts';

/** Most characters of a constraint. Longer ones would take long to compile in the worker. */
const MAX_SCHEMA = 65_536;
const MAX_REGEX = 4096;
const MAX_GRAMMAR = 32_768;
const MAX_CHOICES = 32_768;

/** Most levels of objects and arrays in a schema: what reads it may recurse. */
const MAX_DEPTH = 64;

/** A JSON Schema. */
export const jsonSchema: Check<TextConstraint> = (value, param) => {
  if (!isObject(value) && typeof value !== 'boolean') {
    throw mustBe('a JSON Schema: an object, true or false', value, param);
  }
  limitSchema(value, param);
  return { type: 'json', schema: value, param };
};

/** A JSON Schema, or its text. */
export const jsonSchemaOrText: Check<TextConstraint> = (value, param) => {
  if (typeof value !== 'string') return jsonSchema(value, param);
  limit(value, MAX_SCHEMA, param);
  let schema: unknown;
  try {
    schema = JSON.parse(value);
  } catch {
    throw mustBe('a JSON Schema', value, param, 'a string that is not JSON');
  }
  return jsonSchema(schema, param);
};

/** A JSON object with any content. */
export const jsonObject: Check<TextConstraint | undefined> = (value, param) =>
  boolean(value, param) ? { type: 'json', schema: { type: 'object' }, param } : undefined;

/** A regular expression for the whole text. */
export const regex: Check<TextConstraint> = (value, param) => ({
  type: 'regex',
  pattern: limit(text(value, param), MAX_REGEX, param),
  param,
});

/** The possible texts. */
export const choices: Check<TextConstraint> = (value, param) => {
  const texts = array(text, 1, 1024)(value, param);
  limit(texts.join(''), MAX_CHOICES, param);
  return { type: 'choice', texts, param };
};

/** A grammar in EBNF. */
export const grammar: Check<TextConstraint> = (value, param) => ({
  type: 'grammar',
  ebnf: limit(text(value, param), MAX_GRAMMAR, param),
  param,
});

/** `response_format.type`. */
export const formatType: Check<'text' | 'json_object' | 'json_schema'> = (value, path) => {
  if (value === 'structural_tag') throw unsupported('tags within free text are not supported', path);
  return oneOf('text', 'json_object', 'json_schema')(value, path);
};

const text: Check<string> = (value, path) => {
  const read = string(value, path);
  if (read === '') throw mustBe('a text of at least one character', value, path, 'empty');
  // No token is half a character, so it would never come.
  if (/\p{Surrogate}/u.test(read)) throw mustBe('a text in Unicode', value, path, 'one with half of a surrogate pair');
  return read;
};

/** Level by level, because `JSON.stringify` overflows the stack on deeply nested schemas. */
function limitSchema(schema: unknown, param: string): void {
  let level = [schema];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_DEPTH) throw beyond(param, `nested more than ${MAX_DEPTH} levels deep`);
    level = level.flatMap((value): unknown[] => (typeof value === 'object' && value ? Object.values(value) : []));
  }
  limit(JSON.stringify(schema), MAX_SCHEMA, param);
}

function limit(value: string, characters: number, param: string): string {
  if (value.length > characters) throw beyond(param, `longer than ${characters} characters`);
  return value;
}

/** Not `invalid_request`: a remote may have other limits. */
function beyond(param: string, what: string): NearsightError {
  return new NearsightError('unsupported_schema', `${param} cannot be enforced here: it is ${what}.`, { param });
}
