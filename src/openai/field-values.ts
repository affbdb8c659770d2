import { array, isObject, mustBe, number, oneOf, quoted, string, unsupported, type Check } from './field-checks.ts';
import type { Detail } from '../protocol/job.ts';

/** One text or several, none empty. */
export const stopTexts: Check<string[]> = (value, path) =>
  typeof value === 'string' ? [someText(value, path)] : array(someText, 0, 16)(value, path);

/** A text that is not empty. */
export const someText: Check<string> = (value, path) => {
  const text = string(value, path);
  if (text === '') throw mustBe('a text of at least one character', '', path, 'empty');
  return text;
};

/** `{"<token id>": bias}` as pairs. */
export const logitBias: Check<[token: number, bias: number][]> = (value, path) => {
  const read = number(-100, 100);
  if (!isObject(value)) throw mustBe('an object', value, path);
  return Object.entries(value).map(([token, bias]) => {
    if (!/^\d{1,9}$/.test(token))
      throw mustBe('an object whose keys are token ids', value, path, `one with ${quoted(token)}`);
    return [Number(token), read(bias, `${path}.${token}`)];
  });
};

/** `messages[].role`. */
export const role: Check<'system' | 'developer' | 'user' | 'assistant' | 'tool'> = (value, path) => {
  if (value === 'function') throw unsupported("send tools, and their results with the role 'tool'", path);
  return oneOf('system', 'developer', 'user', 'assistant', 'tool')(value, path);
};

/** `image_url.detail`. */
export const detail: Check<Detail> = (value, path) => {
  if (value === 'original') throw unsupported('images are read as the model was trained', path);
  return oneOf('low', 'high', 'auto')(value, path);
};
