import { describe, expect, it } from 'vitest';
import { parseChat } from '../../../src/openai/parse-request.ts';
import type { RequestTurn } from '../../../src/openai/messages.ts';
import type { NearsightError } from '../../../src/protocol/errors.ts';

const URL_A = 'https://images.example/a.png';
const URL_B = 'data:image/jpeg;base64,/9j/';

const text = (value: string): object => ({ type: 'text', text: value });
const image = (url: string, param: string, detail = 'auto'): object => ({ type: 'image', url, detail, param });

function turns(messages: unknown, imgTags = false): readonly RequestTurn[] {
  return parseChat({ model: 'm', messages }, imgTags).turns;
}

function refusal(messages: unknown): NearsightError {
  try {
    turns(messages);
  } catch (error) {
    return error as NearsightError;
  }
  throw new Error('it was accepted');
}

function user(...content: unknown[]): unknown[] {
  return [{ role: 'user', content }];
}

describe('content', () => {
  it('may be a string in every role; developer is the new name of system', () => {
    const messages = ['system', 'developer', 'user', 'assistant'].map((role) => ({ role, content: `I am ${role}` }));
    expect(turns(messages).map(({ role }) => role)).toEqual(['system', 'system', 'user', 'assistant']);
    expect(turns(messages).map(({ parts }) => parts)).toEqual(messages.map(({ content }) => [text(content)]));
  });

  it.each([
    ['a part', { type: 'text', text: 'hi' }],
    ['a part without a type', { text: 'hi' }],
    ['a string among parts', 'hi'],
    ["vLLM's input_text", { type: 'input_text', text: 'hi' }],
    ["vLLM's output_text", { type: 'output_text', text: 'hi' }],
  ])('may hold text as %s', (_form, part) => {
    expect(turns(user(part))).toEqual([{ role: 'user', parts: [text('hi')] }]);
  });

  it.each([
    ['an object', { type: 'image_url', image_url: { url: URL_A } }],
    ['a bare string', { type: 'image_url', image_url: URL_A }],
    ['a part without a type', { image_url: { url: URL_A } }],
    ['a part without a type, bare', { image_url: URL_A }],
    ["vLLM's input_image", { type: 'input_image', image_url: URL_A }],
    ['a part with a uuid', { type: 'image_url', image_url: { url: URL_A }, uuid: 'x' }],
  ])('may hold an image as %s', (_form, part) => {
    expect(turns(user(part))).toEqual([{ role: 'user', parts: [image(URL_A, 'messages[0].content[0].image_url')] }]);
  });

  it('keeps several images, in several turns, in order and with their detail', () => {
    const messages = [
      { role: 'system', content: [{ type: 'text', text: 'Be brief.' }] },
      {
        role: 'user',
        content: [
          { type: 'image_url', image_url: { url: URL_A, detail: 'low' } },
          { type: 'text', text: 'and' },
          { type: 'image_url', image_url: { url: URL_B, detail: 'high' } },
        ],
      },
      { role: 'assistant', content: 'Two cats.' },
      { role: 'user', content: ['And this?', { image_url: URL_A }] },
    ];
    expect(turns(messages)).toEqual([
      { role: 'system', parts: [text('Be brief.')] },
      {
        role: 'user',
        parts: [
          image(URL_A, 'messages[1].content[0].image_url', 'low'),
          text('and'),
          image(URL_B, 'messages[1].content[2].image_url', 'high'),
        ],
      },
      { role: 'assistant', parts: [text('Two cats.')] },
      { role: 'user', parts: [text('And this?'), image(URL_A, 'messages[3].content[1].image_url')] },
    ]);
  });

  it("accepts an assistant's answer as it was sent, even an empty one or a refusal", () => {
    const answer = { role: 'assistant', content: '', refusal: null, annotations: [], tool_calls: [], audio: null };
    expect(turns([answer, ...user('more')])[0]).toEqual({ role: 'assistant', parts: [text('')] });
    expect(turns([{ role: 'assistant', content: null, refusal: 'No.' }])[0]?.parts).toEqual([text('No.')]);
    const parts = [{ type: 'refusal', refusal: 'Never.' }];
    expect(turns([{ role: 'assistant', content: parts }])[0]?.parts).toEqual([text('Never.')]);
  });

  it('leaves an empty system message out, as in the samples of NIM', () => {
    for (const content of ['', [], [{ type: 'text', text: '' }]]) {
      expect(turns([{ role: 'system', content }, ...user('hi')])).toEqual([{ role: 'user', parts: [text('hi')] }]);
    }
  });

  it.each([
    ['a role that nobody has', [{ role: 'robot', content: 'hi' }], 'messages[0].role'],
    ['no role', [{ content: 'hi' }], 'messages[0].role'],
    ['no content', [{ role: 'user' }], 'messages[0].content'],
    ['null as content', [{ role: 'assistant', content: null }], 'messages[0].content'],
    ['an empty question', [{ role: 'user', content: '' }], 'messages[0].content'],
    ['a question without parts', user(), 'messages[0].content'],
    ['nothing but an empty system message', [{ role: 'system', content: [''] }], 'messages'],
    [
      "an image in the assistant's turn",
      [{ role: 'assistant', content: [{ image_url: URL_A }] }],
      'messages[0].content[0].image_url',
    ],
    [
      'an image in the system message',
      [{ role: 'system', content: [{ image_url: URL_A }] }],
      'messages[0].content[0].image_url',
    ],
    ['a part of an unknown type', user({ type: 'poem', poem: 'x' }), 'messages[0].content[0].type'],
    ['a part that inherits its type', user({ type: 'toString' }), 'messages[0].content[0].type'],
    ['a part without a type or content', user({}), 'messages[0].content[0].type'],
    ['a number as a part', user(7), 'messages[0].content[0]'],
    ['a text part without text', user({ type: 'text' }), 'messages[0].content[0].text'],
    ['an image part without an image', user({ type: 'image_url' }), 'messages[0].content[0].image_url'],
    ['an image_url without a URL', user({ type: 'image_url', image_url: {} }), 'messages[0].content[0].image_url.url'],
  ])('refuses %s', (_what, messages, param) => {
    expect(refusal(messages)).toMatchObject({ code: 'invalid_request', param });
  });

  it.each([
    [[{ role: 'user', content: '' }], 'at least one character or image, but it is empty.'],
    [user({ type: 'hologram' }), "must be 'text' or 'image_url', but it is 'hologram'."],
    [user({ type: 'x'.repeat(100) }), `but it is '${'x'.repeat(80)}…'.`],
    [user({ image_url: { url: URL_A, detail: 'ultra' } }), "one of 'low', 'high', 'auto', but it is 'ultra'."],
    [[{ role: 'assistant', content: [{ image_url: URL_A }] }], "go in a user's message, but it is an image."],
    [[{ content: 'hi' }], "one of 'system', 'developer', 'user', 'assistant', 'tool', but it is missing."],
  ])('says what the value is: %j', (messages, words) => {
    expect(refusal(messages).message).toContain(words);
  });

  it('names the key of logit_bias that is not a token', () => {
    const body = { model: 'm', messages: [{ role: 'user', content: 'hi' }], logit_bias: { abc: 5 } };
    expect(() => parseChat(body)).toThrow("an object whose keys are token ids, but it is one with 'abc'.");
  });

  it.each(['video_url', 'input_audio', 'audio_url', 'file', 'image_embeds', 'thinking', 'video', 'rtsp', 'image'])(
    'refuses a %s part as unsupported',
    (type) => {
      expect(refusal(user('x', { type, [type]: {} }))).toMatchObject({
        code: 'unsupported_field',
        param: 'messages[0].content[1].type',
      });
    },
  );

  it('refuses the role function as unsupported', () => {
    const error = refusal([{ role: 'function', content: 'x' }]);
    expect(error).toMatchObject({ code: 'unsupported_field', param: 'messages[0].role' });
    expect(error.message).toContain('tools');
  });
});

describe('<img> tags', () => {
  const PIXEL = 'data:image/png;base64,iVBORw0KGgo=';
  const at = 'messages[0].content';
  const ask = (content: unknown, role = 'user'): RequestTurn['parts'] | undefined =>
    turns([{ role, content }], true)[0]?.parts;

  it.each([
    [`What is <img src="${URL_A}" />?`, [text('What is '), image(URL_A, at), text('?')]],
    [`<img src='${URL_B}'>`, [image(URL_B, at)]],
    [`<IMG alt="a cat" SRC = "${URL_A}" width=3>`, [image(URL_A, at)]],
    [`<img src="${URL_A}"/><img src="${URL_B}"/> both`, [image(URL_A, at), image(URL_B, at), text(' both')]],
    ['<img src="" />', [image('', at)]],
    [`<img src=x alt="<b>" src="${URL_A}">`, [text(`<img src=x alt="<b>" src="${URL_A}">`)]],
    [`<img src="${URL_A}" title='src="y"'>`, [image(URL_A, at)]],
  ])('are images if imgTags is set: %s', (content, parts) => {
    expect(ask(content)).toEqual(parts);
  });

  it.each([
    '&lt;img src="x"&gt;',
    '<img>',
    '<img alt="x">',
    '<imgsrc="x">',
    '<image src="x">',
    '<img src=x>',
    '<img src="',
  ])('stay text if they are malformed: %s', (content) => expect(ask(content)).toEqual([text(content)]));

  it.each([
    `<img src="${PIXEL}" /> What is this?`,
    [text(`What is this? <IMG alt='x' SRC='${PIXEL}'>`)],
    `<img src=${PIXEL}>`,
    `What is <img src="${PIXEL}`,
  ])('with the image in them are refused by name where they are not read: %j', (content) => {
    const error = refusal([{ role: 'user', content }]);
    expect(error).toMatchObject({ code: 'invalid_request', param: 'messages[0].content' });
    expect(error).toHaveProperty('message', expect.stringContaining('set images.tags'));
  });

  it.each([`<img src=${PIXEL}>`, [text(`<img src="${PIXEL}">`)]])(
    'with the image in them and out of place say where they are read: %j',
    (content) => {
      expect(() => ask(content)).toThrow('quote the src, and send the content as one string');
    },
  );

  it('stay text in parts, in other roles, and by default', () => {
    const tag = `<img src="${URL_A}">`;
    expect(ask([text(tag)])).toEqual([text(tag)]);
    expect(ask(tag, 'system')).toEqual([text(tag)]);
    expect(ask(tag, 'assistant')).toEqual([text(tag)]);
    expect(turns([{ role: 'user', content: tag }])[0]?.parts).toEqual([text(tag)]);
  });

  it('are found in linear time in hostile text', () => {
    const pieces = ['<img ', '<img src="', "<img src='", '<img src = ', '<img src="x" ', ' src=', ' src="', ` src='" `];
    for (const piece of pieces) {
      const start = performance.now();
      ask(`<img ${piece.repeat(1_000_000 / piece.length)}`);
      expect(performance.now() - start, piece).toBeLessThan(5000);
    }
  });
});
