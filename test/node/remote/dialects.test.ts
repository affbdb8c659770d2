import { describe, expect, it } from 'vitest';
import { ask, image, PNG, fetchWithRemote } from '../with-remote.ts';

/** Fields that only NIM 2.x documents, with values that ask for something. */
const VLLM = {
  allowed_token_ids: [7],
  bad_words: ['a'],
  min_tokens: 2,
  stop_token_ids: [7],
  include_stop_str_in_output: true,
  return_token_ids: true,
  skip_special_tokens: false,
};
/** And with values that ask for nothing. */
const VLLM_NOOPS = {
  bad_words: [],
  min_tokens: 0,
  ignore_eos: false,
  stop_token_ids: [],
  include_stop_str_in_output: false,
  return_token_ids: false,
  skip_special_tokens: true,
};

const TOOL = { type: 'function', function: { name: 'f', parameters: {}, strict: true } };
const CALLED = [
  {
    role: 'assistant',
    content: null,
    tool_calls: [{ id: 'a', type: 'function', function: { name: 'f', arguments: '{}' } }],
  },
  { role: 'tool', tool_call_id: 'a', content: 'done' },
];

describe('dialects', () => {
  const fields = {
    max_completion_tokens: 5,
    top_p: 0.5,
    user: 'me',
    metadata: { a: 'b' },
    n: 1,
    seed: null,
    parallel_tool_calls: true,
    messages: [
      { role: 'developer', content: [{ type: 'text', text: 'Be' }, ' brief.'], name: 'x' },
      {
        role: 'user',
        content: [
          { image_url: PNG },
          { type: 'image_url', image_url: { url: 'https://a.example/b.png', detail: 'low' }, uuid: 'u' },
          { type: 'input_text', text: 'What?' },
        ],
      },
    ],
  };
  const imagePart = (url: string): object => ({ type: 'image_url', image_url: { url } });
  const far = 'https://a.example/b.png';
  const strictMessages = [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: [imagePart(PNG), imagePart(far), { type: 'text', text: 'What?' }] },
  ];

  it.each([
    ['hosted', { model: 'meta/llama', max_tokens: 5, top_p: 0.5, messages: strictMessages }],
    [
      'nim1',
      {
        model: 'meta/llama',
        max_tokens: 5,
        top_p: 0.5,
        user: 'me',
        n: 1,
        parallel_tool_calls: true,
        nvext: {},
        messages: [{ ...strictMessages[0], name: 'x' }, strictMessages[1]],
      },
    ],
    [
      'nim2',
      {
        model: 'meta/llama',
        max_completion_tokens: 5,
        top_p: 0.5,
        user: 'me',
        n: 1,
        parallel_tool_calls: true,
        messages: [
          {
            role: 'system',
            content: [
              { type: 'text', text: 'Be' },
              { type: 'text', text: ' brief.' },
            ],
            name: 'x',
          },
          {
            role: 'user',
            content: [
              imagePart(PNG),
              { type: 'image_url', image_url: { url: far, detail: 'low' } },
              { type: 'text', text: 'What?' },
            ],
          },
        ],
      },
    ],
  ] as const)('%s gets its own field names, and accepts them', async (dialect, expected) => {
    const { fetch, nim } = await fetchWithRemote({ remote: { dialect } }, { dialect });
    const response = await fetch(...ask(fields));
    expect(nim.seen[0]?.body).toEqual(expected);
    expect(response.status).toBe(200);
  });

  it.each([
    ['nim1', { top_k: 5, repetition_penalty: 1.1 }, { nvext: { top_k: 5, repetition_penalty: 1.1 } }],
    ['nim2', { nvext: { top_k: 5, repetition_penalty: 1.1 } }, { top_k: 5, repetition_penalty: 1.1 }],
    ['nim1', { ignore_eos: true }, { nvext: { ignore_eos: true } }],
    ['nim2', { nvext: { ignore_eos: true } }, { ignore_eos: true }],
    ['nim2', VLLM, VLLM],
    ['nim1', VLLM_NOOPS, { nvext: {} }],
    ['nim2', { max_tokens: 7 }, { max_completion_tokens: 7 }],
    // The default of NIM 1.x is 'none'.
    ['nim1', { tools: [TOOL] }, { tools: [TOOL], tool_choice: 'auto' }],
    ['nim1', { tools: [TOOL], tool_choice: 'required' }, { tools: [TOOL], tool_choice: 'required' }],
    ['nim2', { tools: [TOOL], parallel_tool_calls: false }, { tools: [TOOL], parallel_tool_calls: false }],
    [
      'nim2',
      { messages: CALLED },
      { messages: CALLED.map(({ content, ...rest }) => ({ ...rest, ...(content && { content }) })) },
    ],
    ['hosted', { tools: [], tool_choice: 'auto', messages: [{ role: 'assistant', content: 'a', tool_calls: [] }] }, {}],
    [
      'hosted',
      { max_tokens: 7, stream: true, stream_options: { include_usage: true } },
      { max_tokens: 7, stream: true },
    ],
  ] as const)('%s: %j', async (dialect, fields, expected) => {
    const { fetch, nim } = await fetchWithRemote({ remote: { dialect } }, { dialect });
    expect((await fetch(...ask(fields))).status).toBe(200);
    expect(nim.seen[0]?.body).toMatchObject(expected);
  });

  it.each(['hosted', 'nim1', 'nim2', 'legacy'] as const)('%s gets a refusal as the content', async (dialect) => {
    const strict = dialect === 'legacy' ? 'hosted' : dialect;
    const { fetch, nim } = await fetchWithRemote({ remote: { dialect } }, { dialect: strict });
    const messages = [
      { role: 'user', content: 'hi', reasoning: null },
      { role: 'assistant', content: null, refusal: 'No.', annotations: [], audio: null },
      { role: 'user', content: 'Please.' },
    ];
    await fetch(...ask({ model: 'a/b', messages }));
    expect(nim.seen[0]?.body['messages']).toEqual([
      { role: 'user', content: 'hi' },
      { role: 'assistant', content: 'No.', ...(dialect === 'nim2' && { annotations: [] }) },
      { role: 'user', content: 'Please.' },
    ]);
  });

  it.each([
    ['hosted', 'tools', { tools: [TOOL] }],
    ['hosted', 'messages[0].refusal', { messages: [{ role: 'assistant', content: 'Yes.', refusal: 'No.' }] }],
    ['hosted', 'messages[0].function_call', { messages: [{ role: 'assistant', function_call: { name: 'f' } }] }],
    ['nim1', 'messages[0].role', { messages: [{ role: 'function', name: 'f', content: '42' }] }],
    ['hosted', 'messages[0].tool_call_id', { messages: [{ role: 'tool', tool_call_id: 'a' }], reasoning_budget: 9 }],
    ['hosted', 'messages[0].role', { messages: [{ role: 'tool', content: '42' }], reasoning_budget: 9 }],
    ['hosted', 'messages[0].audio', { messages: [{ role: 'assistant', audio: { id: 'a' } }] }],
    ['nim1', 'messages[0].content[0].type', { messages: [{ role: 'user', content: [{ type: 'file', text: 'a' }] }] }],
    ['hosted', 'messages[0].tool_calls', { messages: CALLED }],
    ['hosted', 'top_k', { top_k: 5 }],
    ['hosted', 'n', { n: 2 }],
    ['hosted', 'logprobs', { logprobs: true }],
    ['hosted', 'response_format', { response_format: { type: 'json_object' } }],
    ['hosted', 'ignore_eos', { nvext: { ignore_eos: true } }],
    ...Object.entries(VLLM).map(([name, value]) => ['nim1', name, { [name]: value }] as const),
    ['nim1', 'reasoning_effort', { reasoning_effort: 'high' }],
  ] as const)('%s: %s is refused, because the remote would ignore it', async (dialect, param, fields) => {
    const { fetch, nim } = await fetchWithRemote({ remote: { dialect } }, { dialect });
    const response = await fetch(...ask(fields));
    expect(await response.json()).toMatchObject({ error: { code: 'unsupported_field', param } });
    expect(nim.seen).toEqual([]);
  });

  it.each(['nvidia/neva-22b', 'microsoft/kosmos-2', 'microsoft/phi-3-vision-128k-instruct'])(
    '%s gets image tags, at its own path',
    async (model) => {
      const { fetch, nim } = await fetchWithRemote();
      expect((await fetch(...ask({ ...fields, model }))).status).toBe(200);
      expect(nim.seen[0]?.path).toBe(`/v1/vlm/${model}`);
      expect(nim.seen[0]?.body).toEqual({
        max_tokens: 5,
        top_p: 0.5,
        messages: [
          { role: 'system', content: 'Be brief.' },
          { role: 'user', content: `<img src="${PNG}" /><img src="https://a.example/b.png" />What?` },
        ],
      });
    },
  );

  it.each([
    'meta/llama-3.2-90b-vision-instruct',
    'microsoft/phi-3.5-vision-instruct',
    'nvidia/nemotron-nano-12b-v2-vl',
  ])('%s is asked at the common path, with parts', async (model) => {
    const { fetch, nim } = await fetchWithRemote({}, { dialect: 'hosted' });
    const response = await fetch(...ask({ ...image(), model }));
    expect(response.status).toBe(200);
    expect(response.headers.get('x-nearsight-reason')).toBe('model_not_found');
    expect(nim.seen[0]).toMatchObject({ path: '/v1/chat/completions', body: { model } });
    expect(nim.seen[0]?.body).toMatchObject({ messages: [{ content: [{ type: 'text' }, { type: 'image_url' }] }] });
  });

  it.each(['nvidia/../../status/r-0', '../models', 'a', 'a/b/c', 'a/b?c', 'a/%2e%2e'])(
    '%s cannot be part of a path, and is refused',
    async (model) => {
      const { fetch, nim } = await fetchWithRemote({ remote: { dialect: 'legacy' } });
      const response = await fetch(...ask({ model }));
      expect(await response.json()).toMatchObject({ error: { code: 'model_not_found', param: 'model' } });
      expect(nim.seen).toEqual([]);
    },
  );

  it.each([
    ['by the remote', {}],
    ['here', { model: async () => 'модель ✓', policy: 'local-only' }],
  ] as const)(
    'replaces characters of a model name that a header cannot hold, when it is answered %s',
    async (_where, options) => {
      const { fetch } = await fetchWithRemote(options);
      const response = await fetch(...ask({ model: 'модель ✓' }));
      expect([response.status, response.headers.get('x-nearsight-model')]).toEqual([200, '? ?']);
      expect(await response.json()).toHaveProperty('model', 'модель ✓');
    },
  );

  it('sends a blob: URL as a data: URL', async () => {
    const { fetch, nim } = await fetchWithRemote();
    const bytes = Buffer.from(PNG.slice(PNG.indexOf(',') + 1), 'base64');
    const url = URL.createObjectURL(new Blob([bytes]));
    expect((await fetch(...ask(image(url)))).status).toBe(200);
    expect(nim.seen[0]?.body).toMatchObject({ messages: [{ content: [{}, { image_url: { url: PNG } }] }] });
    URL.revokeObjectURL(url);
    const gone = await fetch(...ask(image(url)));
    expect(await gone.json()).toMatchObject({
      error: { code: 'unreadable_image', param: 'messages[0].content[1].image_url' },
    });
  });
});
