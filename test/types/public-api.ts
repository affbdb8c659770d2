// The public API, as the compiler sees it. Each line after `@ts-expect-error` must not compile; if it does, that is
// an error here. Run by `npm run check`, never executed.
import {
  createNearsight,
  isNearsightError,
  NearsightError,
  smolvlm256m,
  type ChatCompletionRequest,
  type ErrorCode,
  type ModelFile,
  type ModelGraph,
  type ModelSpec,
  type ChatCompletion,
  type ChatCompletionChunk,
  type ChatMessage,
  type ResponseFormat,
  type Tool,
  type ToolCall,
  type ToolChoice,
} from 'nearsight';
import { glimpse } from 'nearsight/glimpse';
import OpenAI from 'openai';

// @ts-expect-error The model is required.
createNearsight({});
// @ts-expect-error A device is one of three.
createNearsight({ model: 'smolvlm-256m', device: 'webgl' });
// @ts-expect-error A misspelt option is an error, not ignored.
createNearsight({ model: 'smolvlm-256m', own: ['https://example.com'] });
// @ts-expect-error The worker's script is part of assets.
createNearsight({ model: 'smolvlm-256m', worker: '/worker.js' });
// @ts-expect-error Assets are a folder, or files by these names.
createNearsight({ model: 'smolvlm-256m', assets: { wasm: '/' } });
// @ts-expect-error Limits are numbers.
createNearsight({ model: 'smolvlm-256m', limits: { images: '16' } });

const nearsight = createNearsight({ model: glimpse, device: 'auto', intercept: [new URL('https://example.com')] });

createNearsight({ model: glimpse, assets: '/nearsight/' });
createNearsight({ model: glimpse, assets: { worker: new URL('https://example.com/worker.js'), ort: '/ort/' } });

// A known model with its files on another server.
createNearsight({ model: { ...smolvlm256m, baseURL: '/models/smolvlm-256m/' } });

// `fetch` has the type of the global one: for the page, and for clients.
nearsight.fetch satisfies typeof fetch;
new OpenAI({ apiKey: 'local', fetch: nearsight.fetch, dangerouslyAllowBrowser: true });

// @ts-expect-error The status is read-only.
nearsight.status = { value: { state: 'idle' }, subscribe: () => () => {} };

for await (const text of nearsight.ask(new Blob(), 'What is this?', { maxTokens: 16 })) text satisfies string;
nearsight.ask([new Blob(), '/b.png'] as const, 'Which is larger?') satisfies AsyncIterable<string>;
// @ts-expect-error A question is text.
nearsight.ask(new Blob(), ['What is this?']);
// @ts-expect-error An image is bytes or a URL, not an element.
nearsight.ask(document.createElement('img'), 'What is this?');

nearsight.ask(new Blob(), 'What is this, as JSON?', { schema: { type: 'object' } });
// @ts-expect-error A schema is an object, true or false.
nearsight.ask(new Blob(), 'What is this?', { schema: 'object' });

// What the openai package takes as response_format is ours, and the other way round.
declare const theirs: NonNullable<OpenAI.ChatCompletionCreateParams['response_format']>;
theirs satisfies ResponseFormat;
declare const ours: ResponseFormat;
ours satisfies typeof theirs;
({
  model: 'glimpse',
  messages: [{ role: 'user', content: 'What is it?' }],
  response_format: theirs,
  guided_json: { type: 'object' },
  guided_choice: ['a', 'b'],
  structured_outputs: { regex: 'a+' },
  nvext: { guided_grammar: 'root ::= "a"' },
}) satisfies ChatCompletionRequest;
// @ts-expect-error Free text with constrained parts is not supported.
({ type: 'structural_tag' }) satisfies ResponseFormat;

// So are functions, their calls and their results. Custom tools are refused, and so are sets of allowed tools.
declare const theirTool: OpenAI.ChatCompletionFunctionTool;
theirTool satisfies Tool;
declare const ourTool: Tool;
ourTool satisfies OpenAI.ChatCompletionTool;
declare const theirChoice: OpenAI.ChatCompletionToolChoiceOption;
theirChoice satisfies ToolChoice | OpenAI.ChatCompletionAllowedToolChoice | OpenAI.ChatCompletionNamedToolChoiceCustom;
declare const ourChoice: ToolChoice;
ourChoice satisfies typeof theirChoice;
declare const theirCall: OpenAI.ChatCompletionMessageFunctionToolCall;
theirCall satisfies ToolCall;
declare const ourCall: ToolCall;
ourCall satisfies OpenAI.ChatCompletionMessageToolCall;
declare const ourMessage: ChatMessage;
ourMessage satisfies OpenAI.ChatCompletionMessageParam;
declare const ourAnswer: ChatCompletion;
ourAnswer.choices satisfies OpenAI.ChatCompletion['choices'];
declare const ourChunk: ChatCompletionChunk;
ourChunk.choices satisfies OpenAI.ChatCompletionChunk['choices'];
// An answer is sent back as it came.
ourAnswer.choices[0]!.message satisfies ChatMessage;
({
  model: 'glimpse',
  messages: [
    { role: 'user', content: 'What is it?' },
    { role: 'assistant', tool_calls: [theirCall] },
    { role: 'tool', tool_call_id: 'a', content: 'done' },
  ],
  tools: [theirTool],
  tool_choice: { type: 'function', function: { name: 'f' } },
  parallel_tool_calls: false,
}) satisfies ChatCompletionRequest;
// @ts-expect-error Only functions.
({ type: 'custom', custom: { name: 'f' } }) satisfies Tool;

// The state is a discriminated union: a property of one state is not in another.
const { value } = nearsight.status;
// @ts-expect-error Bytes are known while downloading only.
value.loadedBytes satisfies number;
if (value.state === 'downloading') value.loadedBytes satisfies number;
if (value.state === 'failed') value.error.code satisfies ErrorCode;
// @ts-expect-error There is no such state.
if (value.state === 'loading') throw new Error();

const { verdict, reason } = await nearsight.probe();
(await nearsight.probe({ ...glimpse, id: 'mine' })).verdict satisfies typeof verdict;
verdict satisfies 'yes' | 'slow' | 'no';
reason satisfies string;

// Codes are a closed set.
declare const error: NearsightError;
if (error.code === 'queue_full') throw error;
declare const thrown: unknown;
if (isNearsightError(thrown)) thrown.code satisfies ErrorCode;
// @ts-expect-error There is no such code.
if (error.code === 'busy') throw error;
// @ts-expect-error An error has a code of the set.
new NearsightError('busy', 'Later, please.');

// A page's own spec.
const file: ModelFile = { path: 'config.json', bytes: 1811, sha256: '0'.repeat(64) };
const graph: ModelGraph = { file, data: [{ ...file, path: 'onnx/decoder.onnx_data' }] };
({
  format: 1,
  id: 'mine',
  modelType: 'idefics3',
  baseURL: '/models/mine/',
  files: [file],
  variants: [
    { dtype: 'q4', devices: ['webgpu', 'wasm'], f16: false, graphs: { vision: graph, embed: graph, decoder: graph } },
  ],
  contextLength: 8192,
  wasm: 'slow',
  licence: { name: 'Mine', url: 'https://example.com/licence', restricted: true },
}) satisfies ModelSpec;
// @ts-expect-error Files without a hash are not loaded.
({ path: 'config.json', bytes: 1811 }) satisfies ModelFile;
// @ts-expect-error Another format needs another version of nearsight.
({ ...glimpse, format: 2 }) satisfies ModelSpec;
