import { describe, expect, it } from 'vitest';
import { ToolCallReader } from '../../../src/openai/tool-call-reader.ts';
import type { ChatCompletionChunk, ToolCall } from '../../../src/openai/types.ts';

type Form = ConstructorParameters<typeof ToolCallReader>[0];
type Delta = ChatCompletionChunk['choices'][number]['delta'];

const call = (name: string, args: string): string =>
  `<tool_call>\n{"name": "${name}", "arguments": ${args}}\n</tool_call>`;
const ARGUMENTS = '{"a": "}\\n</tool_call>", "b": {"c": [{}]}}';

/** The deltas of a text that comes in pieces. */
function read(pieces: readonly string[], form: Form = 'both'): Delta[] {
  const reader = new ToolCallReader(form);
  return [...pieces.flatMap((piece) => reader.push(piece)), ...reader.finish()];
}

/** What a client puts together. */
function joined(deltas: readonly Delta[]): { content: string; calls: Pick<ToolCall, 'function'>['function'][] } {
  const calls: ToolCall['function'][] = [];
  let content = '';
  for (const delta of deltas) {
    content += delta.content ?? '';
    for (const { index, id, type, function: called } of delta.tool_calls ?? []) {
      if (id !== undefined) {
        expect([index, id, type]).toEqual([calls.length, expect.stringMatching(/^call_[0-9a-f]{32}$/), 'function']);
        calls.push({ name: called.name ?? '', arguments: '' });
      } else {
        expect([type, called.name, called.arguments === '']).toEqual([undefined, undefined, false]);
      }
      calls[index]!.arguments += called.arguments;
    }
  }
  return { content, calls };
}

describe.each<[string, string, content: string, calls: [name: string, args: string][], form?: Form]>([
  ['text', 'A cat. ', 'A cat. ', []],
  ['nothing', '', '', []],
  ['text that looks like a call', 'a <tool_cal> \n<<tool_', 'a <tool_cal> \n<<tool_', []],
  ['a call', call('f', ARGUMENTS), '', [['f', ARGUMENTS]]],
  ['a required call', call('f', '{}'), '', [['f', '{}']], 'calls'],
  ['a call instead of JSON', call('f', '{}'), '', [['f', '{}']], 'either'],
  ['JSON', `{"a": "<tool_call> <"}`, `{"a": "<tool_call> <"}`, [], 'either'],
  ['text and a call', `I look.\n\n${call('f-1_A', '{}')}`, 'I look.', [['f-1_A', '{}']]],
  ['white space and a call', ` \n${call('f', '{}')}`, '', [['f', '{}']]],
  [
    'a < and calls',
    `<${call('f', '{"a": 1}')}\n${call('g', ARGUMENTS)}`,
    '<',
    [
      ['f', '{"a": 1}'],
      ['g', ARGUMENTS],
    ],
  ],
  [
    'three calls',
    [1, 2, 3].map((n) => call(`f${n}`, '{}')).join('\n'),
    '',
    [
      ['f1', '{}'],
      ['f2', '{}'],
      ['f3', '{}'],
    ],
  ],
])('%s', (_what, text, content, expected, form) => {
  const calls = expected.map(([name, args]) => ({ name, arguments: args }));

  it('is read whole, character by character, and in two at every place', () => {
    const pieces = [[text], Array.from(text), ...Array.from(text, (_, at) => [text.slice(0, at), text.slice(at)])];
    for (const split of pieces) {
      expect(joined(read(split, form)), JSON.stringify(split)).toEqual({ content, calls });
    }
  });

  it('when it is cut off, has the beginning of what it would have', () => {
    for (let at = 0; at < text.length; at++) {
      const cut = joined(read(Array.from(text.slice(0, at)), form));
      if (cut.calls.length > 0) expect(content).toBe(cut.content);
      expect(cut.calls.length).toBeLessThanOrEqual(calls.length);
      for (const [index, { name, arguments: args }] of cut.calls.entries()) {
        expect(name).toBe(calls[index]?.name);
        expect(calls[index]?.arguments.startsWith(args)).toBe(true);
        if (index < cut.calls.length - 1) expect(args).toBe(calls[index]?.arguments);
      }
    }
  });
});

it('text streams as soon as it can be no call', () => {
  const reader = new ToolCallReader('both');
  expect(['A', ' ', 'cat <', 'b> ', '<tool_', 'x'].map((piece) => joined(reader.push(piece)).content)).toEqual([
    'A',
    '',
    ' cat',
    ' <b>',
    '',
    ' <tool_x',
  ]);
  expect(reader.finish()).toEqual([]);
});

it('arguments stream as they come, without the brace that may be that of the call', () => {
  const reader = new ToolCallReader('calls');
  reader.push('<tool_call>\n{"name": "f", "arguments": ');
  const pieces = ['{"a', '": {', '}', '}', '}', '\n</tool', '_call>'].map((piece) =>
    joinedArguments(reader.push(piece)),
  );
  expect(pieces).toEqual(['{"a', '": {', '', '}', '}', '', '']);
  expect(reader.calls).toBe(1);
});

function joinedArguments(deltas: readonly Delta[]): string {
  return deltas.flatMap(({ tool_calls }) => tool_calls?.map(({ function: called }) => called.arguments) ?? []).join('');
}
