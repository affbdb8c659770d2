import { expect, test } from 'vitest';
import { formatOf } from '../../../demo/answer-format.ts';
import { type Json, parseBeginning } from '../../../demo/partial-json.ts';

const TEXTS = [
  '{"name": "a \\"b\\\\", "n": -12.5, "list": [1, {"x": null, "y": [true, "é😀"]}], "empty": {}, "last": [[], ""]}',
  '[{"a": "]}"}, {"a": "\\\\\\""}]',
  '"only text, with {"',
  '{}',
];

/** Whether a value can grow into another one: its text is a beginning, its items and properties are the first ones. */
function isBeginning(part: Json, whole: Json | undefined): boolean {
  if (typeof part === 'string') return typeof whole === 'string' && whole.startsWith(part);
  if (typeof part === 'number') return typeof whole === 'number' && String(whole).startsWith(String(part));
  if (typeof part !== 'object' || part === null) return part === whole;
  if (typeof whole !== 'object' || whole === null || Array.isArray(whole) !== Array.isArray(part)) return false;
  const [items, others] = [Object.entries(part), Object.entries(whole)];
  return items.every(([name, item], at) => others[at]?.[0] === name && isBeginning(item, others[at][1]));
}

test.each(TEXTS)('each beginning of %s is read as the beginning of its value', (text) => {
  const whole: Json = JSON.parse(text);
  expect(parseBeginning(text)).toEqual(whole);
  let read = 0;
  for (let length = 1; length < text.length; length++) {
    const part = parseBeginning(text.slice(0, length));
    if (part === undefined) continue;
    read++;
    expect(isBeginning(part, whole), `${text.slice(0, length)} is ${JSON.stringify(part)}`).toBe(true);
  }
  // Nothing is undefined for long.
  expect(read).toBeGreaterThanOrEqual(text.length - 2);
});

test('a list of words alone is a choice; any other schema is a schema', () => {
  expect(formatOf('{ "enum": ["a", "b"] }').fields).toEqual({ guided_choice: ['a', 'b'] });
  expect(formatOf('{ "type": "string", "enum": ["a", "b"] }').fields).toEqual({ guided_choice: ['a', 'b'] });
  for (const schema of [{ enum: ['a', 1] }, { enum: ['ab'], maxLength: 1 }, { properties: { a: {} } }]) {
    const { fields, names } = formatOf(JSON.stringify(schema));
    expect(fields).toMatchObject({ response_format: { json_schema: { schema } } });
    expect(names).toEqual(Object.keys(schema.properties ?? {}));
  }
  expect(() => formatOf('{')).toThrow('This is not JSON yet');
  expect(() => formatOf('[1]')).toThrow('A schema is an object');
});
