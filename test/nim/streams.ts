/** Event streams in the variants that NIM and its engines send. The text is "A cat ✓." unless they break off. */

export interface NimStream {
  /** The model `stream/NAME` is answered with it. */
  name: string;
  /** Written one by one, a moment apart. */
  chunks: readonly (string | Uint8Array)[];
  /** How it ends. @defaultValue properly */
  end?: 'cut' | 'hang';
  /** The text that a client must have at the end; absent: it must fail. */
  text?: string;
  /** The status that it becomes, if it fails before it has content. */
  status?: number;
  /** The message of the error that a client must get. */
  error?: string;
}

const head = '"id":"chatcmpl-X","object":"chat.completion.chunk","created":1,"model":"stream/any"';
const event = (choice: string, more = ''): string =>
  `data: {${head},"choices":[{"index":0,${choice},"logprobs":null}]${more}}\n\n`;
const ROLE = event('"delta":{"role":"assistant","content":""},"finish_reason":null');
const text = (content: string, more = ''): string =>
  event(`"delta":{"content":"${content}"},"finish_reason":null`, more);
const STOP = event('"delta":{},"finish_reason":"stop","stop_reason":null');
const USAGE_OBJECT = '"usage":{"prompt_tokens":10,"completion_tokens":3,"total_tokens":13}';
const USAGE = `data: {${head},"choices":[],${USAGE_OBJECT}}\n\n`;
const DONE = 'data: [DONE]\n\n';
const WHOLE = 'A cat ✓.';

const OPENAI = [ROLE, text('A cat'), text(' ✓.'), STOP, DONE];
const all = (events: readonly string[]): Uint8Array => new TextEncoder().encode(events.join(''));

/** Cuts through characters, line ends and field names alike. */
const fives = (bytes: Uint8Array): Uint8Array[] =>
  Array.from({ length: Math.ceil(bytes.length / 5) }, (_, i) => bytes.slice(5 * i, 5 * i + 5));

export const STREAMS: readonly NimStream[] = [
  { name: 'openai', chunks: OPENAI, text: WHOLE },
  { name: 'in-one-piece', chunks: [all(OPENAI)], text: WHOLE },
  { name: 'five-by-five', chunks: fives(all(OPENAI)), text: WHOLE },
  {
    name: 'last-text-with-finish',
    chunks: [ROLE, text('A cat'), event('"delta":{"content":" ✓."},"finish_reason":"stop"'), DONE],
    text: WHOLE,
  },
  { name: 'usage-unasked', chunks: [ROLE, text('A cat ✓.'), STOP, USAGE, DONE], text: WHOLE },
  {
    name: 'usage-on-each',
    chunks: [ROLE, text('A cat', `,${USAGE_OBJECT}`), text(' ✓.', `,${USAGE_OBJECT}`), STOP, DONE],
    text: WHOLE,
  },
  { name: 'crlf', chunks: OPENAI.map((one) => one.replaceAll('\n', '\r\n')), text: WHOLE },
  { name: 'comments', chunks: [': ping\n\n', ROLE, ': ping\n\n', ...OPENAI.slice(1)], text: WHOLE },
  { name: 'no-space', chunks: OPENAI.map((one) => one.replace('data: ', 'data:')), text: WHOLE },
  { name: 'no-done', chunks: OPENAI.slice(0, -1), text: WHOLE },
  { name: 'no-last-newline', chunks: [...OPENAI.slice(0, -1), 'data: [DONE]'], text: WHOLE },
  {
    name: 'speaks-of-errors',
    chunks: [ROLE, text('{\\"error\\": \\"message\\"}'), STOP, DONE],
    text: '{"error": "message"}',
  },
  {
    name: 'fails-nested',
    chunks: [
      ROLE,
      text('A'),
      'data: {"error":{"message":"EngineCore died","type":"InternalServerError","param":null,"code":500}}\n\n',
      DONE,
    ],
    error: 'EngineCore died',
  },
  {
    name: 'fails-flat',
    chunks: [
      ROLE,
      text('A'),
      'data: {"object":"error","message":"EngineCore died","type":"InternalServerError","param":null,"code":500}\n\n',
      DONE,
    ],
    error: 'EngineCore died',
  },
  {
    name: 'fails-as-string',
    chunks: [ROLE, text('A'), 'data: {"error":"EngineCore died"}\n\n', DONE],
    error: 'EngineCore died',
  },
  {
    name: 'fails-by-event',
    chunks: [ROLE, text('A'), 'event: error\ndata: {"detail":"EngineCore died"}\n\n'],
    error: 'EngineCore died',
  },
  {
    name: 'fails-in-words',
    chunks: [ROLE, text('A'), 'event: error\ndata: EngineCore died\n\n'],
    error: 'EngineCore died',
  },
  {
    name: 'fails-at-first',
    chunks: [': ping\n\n', ROLE, 'data: {"error":{"message":"EngineCore died","code":500}}\n\n', DONE],
    status: 500,
    error: 'EngineCore died',
  },
  {
    name: 'refuses-at-first',
    chunks: ['data: {"object":"error","message":"too long","type":"BadRequestError","code":400}\n\n', DONE],
    status: 400,
    error: 'too long',
  },
  { name: 'ends-at-first', chunks: [ROLE], status: 502, error: 'ended before it had content' },
  { name: 'cut-at-first', chunks: [ROLE], end: 'cut', status: 502, error: 'broke off' },
  {
    name: 'page',
    chunks: ['<!doctype html>\n\n<title>Sign in</title>\n\n'],
    status: 502,
    error: 'ended before it had content',
  },
  { name: 'cut', chunks: [ROLE, text('A')], end: 'cut', error: 'broke off' },
  { name: 'hang', chunks: [ROLE, text('A')], end: 'hang' },
];
