/** Answers with calls of tools, as they are written from the parts of a text. */
import { describe, expect, it } from 'vitest';
import { parseChat } from '../../../src/openai/parse-request.ts';
import { respond } from '../../../src/openai/respond.ts';
import type { ChatCompletion, ChatCompletionChunk } from '../../../src/openai/types.ts';
import type { Part, TokenLogprob } from '../../../src/protocol/job.ts';
import { finish, partsOf, START, text, USAGE } from '../job-parts.ts';
import { MIN } from './samples.ts';

const TOOLS = { tools: [{ type: 'function', function: { name: 'f' } }] };
const NAMED = { tool_choice: { type: 'function', function: { name: 'f' } } };
const CALL = ['<tool_', 'call>\n{"name": "f", "argu', 'ments": {"a"', ': 1}}', '\n</tool_call>'];
const ID = expect.stringMatching(/^call_/);

function answer(fields: object, ...parts: readonly Part[]): Promise<Response> {
  const request = parseChat({ ...MIN, ...TOOLS, ...fields });
  return respond(request, partsOf(START, ...parts, USAGE), { model: 'glimpse', reason: 'local-first' });
}

async function whole(fields: object, ...parts: readonly Part[]): Promise<ChatCompletion['choices']> {
  const body = (await (await answer(fields, ...parts)).json()) as ChatCompletion;
  return body.choices;
}

async function streamed(fields: object, ...parts: readonly Part[]): Promise<ChatCompletionChunk['choices'][number][]> {
  const body = await (await answer({ ...fields, stream: true }, ...parts)).text();
  const events = body.split('\n\n').filter((event) => event && !event.includes('[DONE]'));
  return events.flatMap((event) => (JSON.parse(event.slice('data: '.length)) as ChatCompletionChunk).choices);
}

const texts = (values: readonly string[], choice = 0): Part[] => values.map((value) => text(value, choice));
const CALLED = { name: 'f', arguments: '{"a": 1}' };

describe('a JSON body', () => {
  it.each([
    ['auto', {}, 'tool_calls'],
    ['required', { tool_choice: 'required' }, 'tool_calls'],
    // As OpenAI has it.
    ['named', NAMED, 'stop'],
  ])('has the call, and no text: %s', async (_choice, fields, reason) => {
    expect(await whole(fields, ...texts(CALL), finish())).toEqual([
      {
        index: 0,
        message: {
          role: 'assistant',
          content: null,
          refusal: null,
          tool_calls: [{ id: ID, type: 'function', function: CALLED }],
        },
        logprobs: null,
        finish_reason: reason,
      },
    ]);
  });

  it('has JSON where the format asks for it and nothing is called', async () => {
    const fields = { response_format: { type: 'json_object' } };
    const json = '{"a": "<tool_call>\\n"}';
    const [choice] = await whole(fields, text(json.slice(0, 7)), text(json.slice(7)), finish());
    expect(choice).toMatchObject({ message: { content: json }, finish_reason: 'stop' });
    const [called] = await whole(fields, ...texts(CALL), finish());
    expect(called).toMatchObject({ message: { content: null }, finish_reason: 'tool_calls' });
  });

  it('has the text before the call', async () => {
    const [choice] = await whole({}, text('I look.\n'), ...texts(CALL), finish());
    expect(choice).toMatchObject({ message: { content: 'I look.', tool_calls: [{}] }, finish_reason: 'tool_calls' });
  });

  it('has no calls where there are none, or none may be', async () => {
    const [plain] = await whole({}, text('A cat <'), finish());
    expect(plain).toMatchObject({ message: { content: 'A cat <' }, finish_reason: 'stop' });
    expect(plain?.message).not.toHaveProperty('tool_calls');
    const [none] = await whole({ tool_choice: 'none' }, ...texts(CALL), finish());
    expect(none).toMatchObject({ message: { content: CALL.join('') }, finish_reason: 'stop' });
  });

  it('has what there is of a call that is cut off', async () => {
    const cut = (count: number) => whole(NAMED, ...texts(CALL.slice(0, count)), finish(0, 'length'));
    const [choice] = await cut(3);
    expect(choice).toMatchObject({
      message: { content: null, tool_calls: [{ function: { name: 'f', arguments: '{"a"' } }] },
      finish_reason: 'length',
    });
    const [unnamed] = await cut(2);
    expect(unnamed).toMatchObject({ message: { content: '' }, finish_reason: 'length' });
    expect(unnamed?.message).not.toHaveProperty('tool_calls');
  });

  it('has the calls of each choice', async () => {
    const [one, two] = CALL.map((piece) => [text(piece, 0), text(piece.replace('1', '2'), 1)]).reduce(
      ([a, b], [c, d]) =>
        [
          [...a, c!],
          [...b, d!],
        ] as [Part[], Part[]],
      [[], []] as [Part[], Part[]],
    );
    const choices = await whole({ n: 2 }, ...one.flatMap((part, at) => [part, two[at]!]), finish(0), finish(1));
    expect(choices.map(({ message }) => message.tool_calls?.[0]?.function.arguments)).toEqual(['{"a": 1}', '{"a": 2}']);
    const ids = choices.map(({ message }) => message.tool_calls?.[0]?.id);
    expect(new Set(ids).size).toBe(2);
  });

  it('has the log probabilities and ids of the whole text', async () => {
    const entry: TokenLogprob = { token: 'x', logprob: -1, bytes: [120], top: [] };
    const parts = CALL.map((piece, id) => ({ ...text(piece, 0, [entry]), ids: [id] }));
    const fields = { logprobs: true, return_token_ids: true };
    const [choice] = await whole(fields, ...parts, finish());
    expect(choice?.logprobs?.content).toHaveLength(CALL.length);
    expect(choice?.token_ids).toEqual([0, 1, 2, 3, 4]);
    const chunks = await streamed(fields, ...parts, finish());
    expect(chunks.flatMap(({ logprobs }) => logprobs?.content ?? [])).toHaveLength(CALL.length);
    expect(chunks.flatMap(({ token_ids }) => token_ids ?? [])).toEqual([0, 1, 2, 3, 4]);
  });
});

describe('a stream', () => {
  it('has the id and name first, then pieces of the arguments', async () => {
    const deltas = (await streamed({}, text('I look.'), text('\n'), ...texts(CALL), finish())).map(
      ({ delta }) => delta,
    );
    const piece = (args: string) => ({ tool_calls: [{ index: 0, function: { arguments: args } }] });
    expect(deltas).toEqual([
      { role: 'assistant', content: null },
      { content: 'I look.' },
      { tool_calls: [{ index: 0, id: ID, type: 'function', function: { name: 'f', arguments: '' } }] },
      piece('{"a"'),
      piece(': 1}'),
      {},
    ]);
  });

  it.each([
    [{}, 'stop', 'tool_calls'],
    [NAMED, 'stop', 'stop'],
    [{}, 'length', 'length'],
  ] as const)('ends as the whole body does: %j, %s', async (fields, reason, expected) => {
    const choices = await streamed(fields, ...texts(CALL), finish(0, reason));
    expect(choices.at(-1)).toMatchObject({ delta: {}, finish_reason: expected });
    expect(choices.slice(0, -1).every(({ finish_reason }) => finish_reason === null)).toBe(true);
  });

  it('keeps no text back at its end', async () => {
    const choices = await streamed({}, text('a <'), text('tool'), finish());
    expect(choices.map(({ delta }) => delta.content ?? '').join('')).toBe('a <tool');
  });
});
