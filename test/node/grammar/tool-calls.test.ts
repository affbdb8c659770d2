import { describe, expect, test } from 'vitest';
import type { CallableTool, NamedSchema } from '../../../src/protocol/job.ts';
import { isAllowed } from '../../../worker/sampling/token-constraint.ts';
import { GrammarError } from '../../../worker/grammar/byte-machine.ts';
import { Grammar } from '../../../worker/grammar/grammar-chunk.ts';
import { TokenMasks } from '../../../worker/grammar/grammar-constraint.ts';
import { buildTokenTrie } from '../../../worker/grammar/token-trie.ts';
import { callsIn, compileToolCalls } from '../../../worker/grammar/tool-calls.ts';
import { xorshift } from '../../random.ts';
import { glimpseTokenizer } from '../families/glimpse-tokenizer.ts';
import { accepts, after, isViable, mutated, randomText } from './walk.ts';

const encoder = new TextEncoder();

const tool = (name: string, schema: unknown): CallableTool => ({ name, schema, param: `tools.${name}` });
const TOOLS = [
  tool('weather', { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] }),
  tool('time', { type: 'object', additionalProperties: false }),
];
const call = (name: string, args: string): string =>
  `<tool_call>\n{"name": "${name}", "arguments": ${args}}\n</tool_call>`;
const WEATHER = call('weather', '{"city": "Oslo"}');
const TIME = call('time', '{}');

type Fields = { required?: boolean; parallel?: boolean; tools?: CallableTool[]; otherwise?: NamedSchema };
const machineOf = (fields: Fields) =>
  compileToolCalls({ type: 'tools', param: 'tools', tools: TOOLS, required: false, parallel: true, ...fields });

describe('required calls', () => {
  const one = machineOf({ required: true, parallel: false });
  const several = machineOf({ required: true });

  test('are one, or up to 16', () => {
    for (const machine of [one, several]) {
      for (const text of [WEATHER, TIME]) expect(accepts(machine, text), text).toBe(true);
      for (const text of ['', 'x', ` ${TIME}`, `${TIME}\n`, `Here: ${TIME}`, TIME.slice(0, -1)]) {
        expect(accepts(machine, text), text).toBe(false);
      }
    }
    expect([accepts(one, `${TIME}\n${TIME}`), accepts(several, `${TIME}\n${WEATHER}`)]).toEqual([false, true]);
    const times = (count: number): string => Array(count).fill(TIME).join('\n');
    expect([accepts(several, times(16)), isViable(several, `${times(16)}\n`)]).toEqual([true, false]);
  });

  test('have the arguments of their own tool', () => {
    for (const text of [call('weather', '{}'), call('time', '{"city": "x"}'), call('sun', '{}'), call('time', '[]')]) {
      expect(accepts(several, text), text).toBe(false);
    }
    expect(accepts(several, call('weather', '{"city": "\\n</tool_call>"}'))).toBe(true);
    expect(isViable(several, '<tool_call>\n{"name": "weather", "arguments": {"city": "a\n')).toBe(false);
  });
});

describe('calls that are not required', () => {
  const machine = machineOf({});

  test.each(['', 'Free text.\n', '<', '<<tool_call', 'a <tool_cal<b> ', '<tool_call', '\ufeff\u0000 é 漢字 😀 <'])(
    'come behind any text, or not at all: %j',
    (text) => {
      expect(accepts(machine, text)).toBe(true);
      expect(accepts(machine, `${text}x${WEATHER}\n${TIME}`)).toBe(true);
      expect(accepts(machine, `${text}<${TIME}`)).toBe(true);
    },
  );

  test('hold the text from where they begin', () => {
    for (const text of ['<tool_call>', `a<tool_call>\n`, `${TIME} more`, `${TIME}\nmore`, '<tool_call>x']) {
      expect(accepts(machine, text), text).toBe(false);
    }
    expect(isViable(machine, 'a<tool_call>')).toBe(true);
    for (const text of ['<tool_call> ', `a<tool_call>{`, `${TIME}x`]) expect(isViable(machine, text), text).toBe(false);
  });

  test('are found where a search finds them', () => {
    const random = xorshift(7);
    const pattern = /^(?:(?!<tool_call>)[^])*(?:<tool_call>\n\{"name": "time", "arguments": \{\}\}\n<\/tool_call>)?$/;
    const once = machineOf({ parallel: false, tools: TOOLS.slice(1) });
    let accepted = 0;
    for (let count = 0; count < 2000; count++) {
      const text = mutated(`ab<${'<tool_call>'.slice(0, count % 11)}<x ${count % 2 ? TIME : ''}`, random, [
        '<',
        't',
        '>',
      ]);
      expect(accepts(once, text), text).toBe(pattern.test(text));
      if (pattern.test(text)) accepted++;
    }
    expect(accepted).toBeGreaterThan(200);
  });

  test('have a mask that costs once, in free text', () => {
    const tokenizer = glimpseTokenizer();
    const bytes = (id: number): Uint8Array => tokenizer.bytes(id);
    const vocabulary = { bytes, encode: () => [], stopIds: [1279], trie: buildTokenTrie(bytes, 1280) };
    const masks = new TokenMasks(machine, vocabulary, 'tools');
    const mask = masks.maskOf(after(machine, encoder.encode('Some text')), false);
    // Another text in the same state, and the same array.
    expect(masks.maskOf(after(machine, encoder.encode('Other <b>')), false)).toBe(mask);
    const texts = Array.from({ length: 1280 }, (_, id) => id).filter((id) => bytes(id).length > 0);
    const refused = texts.filter((id) => !isAllowed(mask, id)).map((id) => bytes(id)[0] ?? 0);
    // Only bytes that are no beginning of a character.
    expect(refused.filter((byte) => byte < 0x80)).toEqual([]);
    expect(isAllowed(mask, 1279)).toBe(true);
  });
});

describe('calls or JSON', () => {
  const otherwise = {
    schema: { type: 'object', properties: { a: { type: 'string' } }, required: ['a'] },
    param: 'format',
  };

  test('are one or the other', () => {
    const machine = machineOf({ otherwise });
    for (const text of [TIME, `${TIME}\n${WEATHER}`, '{"a": "b"}', '{"a": "<tool_call>"}']) {
      expect(accepts(machine, text), text).toBe(true);
    }
    for (const text of ['', 'x', '{}', `{"a": "b"}${TIME}`, `${TIME}{"a": "b"}`]) {
      expect(accepts(machine, text), text).toBe(false);
    }
  });

  test('are calls where these are required', () => {
    const machine = machineOf({ otherwise, required: true });
    expect([accepts(machine, TIME), accepts(machine, '{"a": "b"}')]).toEqual([true, false]);
  });

  test('name the field of the format that cannot be enforced', () => {
    for (const schema of [{ not: {} }, false]) {
      const refused = expect.objectContaining({ param: 'format' });
      expect(() => machineOf({ otherwise: { schema, param: 'format' } })).toThrow(refused);
    }
  });
});

test('calls are read from a whole text', () => {
  expect(callsIn('no call')).toEqual([]);
  const args = '{"city": "<tool_call>"}';
  expect(callsIn(`text\n${call('weather', args)}\n${TIME}`)).toEqual([
    { name: 'weather', arguments: { city: '<tool_call>' } },
    { name: 'time', arguments: {} },
  ]);
});

test('every text can be read again', () => {
  const machine = machineOf({ required: true });
  const random = xorshift(3);
  for (let count = 0; count < 50; count++) {
    const text = randomText(machine, random, 200);
    if (text !== undefined) expect(callsIn(text).length).toBeGreaterThan(0);
  }
});

describe('a tool that cannot be enforced', () => {
  const refused = (schema: unknown) => () =>
    machineOf({ tools: [...TOOLS, tool('other', { type: 'object', properties: { a: schema }, required: ['a'] })] });

  test('is named, with the place in its schema', () => {
    expect(refused({ not: {} })).toThrow(expect.objectContaining({ param: 'tools.other' }));
    expect(refused({ not: {} })).toThrow(GrammarError);
    expect(refused({ not: {} })).toThrow("'not' at #/properties/a cannot be enforced");
    for (const schema of [false, { $ref: '#' }]) {
      expect(refused(schema)).toThrow(expect.objectContaining({ param: 'tools.other' }));
      expect(refused(schema)).toThrow('no value is valid');
    }
  });

  test('is an error of the request', () => {
    const grammar = new Grammar({ bytes: () => encoder.encode('a'), encode: () => [], stopIds: [1] }, 2);
    const tools = [TOOLS[0]!, tool('other', { contains: {} })];
    expect(() => grammar.open({ type: 'tools', tools, required: true, parallel: true, param: 'tools' }, true)).toThrow(
      expect.objectContaining({
        code: 'unsupported_schema',
        param: 'tools.other',
        message: expect.stringMatching(/^tools\.other: 'contains' at # cannot be enforced/),
      }),
    );
  });
});

test('the text of a call up to its arguments is forced where one tool is required', () => {
  const tokenizer = glimpseTokenizer();
  const bytes = (id: number): Uint8Array => tokenizer.bytes(id);
  const grammar = new Grammar({ bytes, encode: (text) => tokenizer.encode(text), stopIds: [1279] }, 1280);
  const wanted = { type: 'tools', tools: TOOLS.slice(0, 1), required: true, parallel: false, param: 'tools' } as const;
  const forced = grammar.open(wanted, false)().forced?.() ?? [];
  const text = Buffer.concat(forced.map(bytes)).toString().trimStart();
  expect(call('weather', '{"city": "').startsWith(text)).toBe(true);
  expect(text.length).toBeGreaterThan(40);
});

test('an end token that has a text is no part of one', () => {
  const texts = ['"', 'a', '<|end|>', ' '];
  const bytes = (id: number): Uint8Array => encoder.encode(texts[id]);
  const encode = (text: string): number[] => text.split(/(?=<)|(?<=>)|(?<=[ a])/).map((part) => texts.indexOf(part));
  const grammar = new Grammar({ bytes, encode, stopIds: [2] }, 4);
  const constraint = grammar.open({ type: 'json', schema: { type: 'string' }, param: 'guided_json' }, false)();
  constraint.accept(0);
  expect(constraint.mask(1)?.[0]).toBe(0b1011);
  constraint.accept(0);
  expect(constraint.mask(2)?.[0]).toBe(0b100);

  const forced = (text: string) =>
    grammar
      .open({ type: 'choice', texts: [text], param: 'guided_choice' }, false)()
      .forced?.();
  expect(forced('aaaaaaaa')).toEqual([3, 1, 1, 1, 1, 1, 1, 1]);
  expect(forced('aaaa<|end|>aaaa')).toEqual([]);
});

test('names of rules in one schema are not those of another', () => {
  const schema = (type: string) => ({
    type: 'object',
    properties: { a: { $ref: '#/$defs/x' } },
    required: ['a'],
    $defs: { x: { type } },
  });
  const machine = machineOf({ tools: [tool('n', schema('null')), tool('b', schema('boolean'))] });
  expect(accepts(machine, call('n', '{"a": null}'))).toBe(true);
  expect(accepts(machine, call('b', '{"a": true}'))).toBe(true);
  expect(accepts(machine, call('b', '{"a": null}'))).toBe(false);
});

test('each tool has its own patterns', () => {
  const tool = (name: string, pattern: string) => ({
    name,
    param: name,
    schema: { type: 'object', properties: { x: { type: 'string', pattern, maxLength: 5 } }, required: ['x'] },
  });
  const tools = [tool('a', '^a+$'), tool('b', '^b+$')];
  const machine = compileToolCalls({ type: 'tools', tools, required: true, parallel: false, param: 'tools' });
  const call = (name: string, x: string): string =>
    `<tool_call>\n{"name": "${name}", "arguments": {"x": "${x}"}}\n</tool_call>`;
  expect(['aaa', 'bbb'].map((x) => [accepts(machine, call('a', x)), accepts(machine, call('b', x))])).toEqual([
    [true, false],
    [false, true],
  ]);
});
