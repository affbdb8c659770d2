/** Makes broken chat requests: valid ones, mutated as values and as bytes. Seeded, so that failures are reproducible. */
import { JSON_SCHEMA, RESPONSE_FORMAT, STRUCTURED_OUTPUTS } from '../../../src/openai/constraint-fields.ts';
import { REQUEST, MESSAGE, NVEXT } from '../../../src/openai/fields.ts';
import { IMAGE_PART } from '../../../src/openai/part-fields.ts';
import { CALL, CALLED_FUNCTION, TOOL, TOOL_FUNCTION } from '../../../src/openai/tool-fields.ts';
import { ERRORS } from '../../../src/protocol/errors.ts';
import { createFetch } from '../../../src/fetch/intercept.ts';
import { integer, pick, type Random, xorshift } from '../../random.ts';
import { ANSWER, engineOf, finish, partsOf } from '../job-parts.ts';

const PNG = 'data:image/png;base64,iVBORw0KGgr/+/A=';
const SEEDS: readonly object[] = [
  {
    model: 'glimpse',
    messages: [{ role: 'user', content: 'hi' }],
    stream: true,
    stream_options: { include_usage: true },
  },
  {
    model: 'glimpse',
    messages: [
      { role: 'system', content: 'Be brief.' },
      {
        role: 'user',
        content: [
          { type: 'image_url', image_url: { url: PNG, detail: 'low' } },
          { type: 'text', text: 'What?' },
        ],
      },
      { role: 'assistant', content: 'A cat.', refusal: null },
      { role: 'user', content: [{ image_url: PNG }, 'And this?'] },
    ],
    max_tokens: 5,
    temperature: 0.5,
    logit_bias: { '5': -100 },
    stop: ['\n'],
    nvext: { top_k: 5 },
  },
  {
    model: 'glimpse',
    messages: [{ role: 'user', content: `<img src="${PNG}"> What?` }],
    n: 2,
    logprobs: true,
    top_logprobs: 2,
  },
  {
    model: 'glimpse',
    messages: [{ role: 'user', content: 'hi' }],
    response_format: {
      type: 'json_schema',
      json_schema: { name: 'x', schema: { type: 'object', properties: { a: {} } } },
    },
  },
  { model: 'glimpse', messages: [{ role: 'user', content: 'hi' }], structured_outputs: { choice: ['a', 'b'] } },
  {
    model: 'glimpse',
    messages: [
      { role: 'user', content: 'hi' },
      { role: 'assistant', tool_calls: [{ id: 'a', type: 'function', function: { name: 'f', arguments: '{}' } }] },
      { role: 'tool', tool_call_id: 'a', content: 'done' },
    ],
    tools: [{ type: 'function', function: { name: 'f', description: 'Does.', parameters: { properties: { a: {} } } } }],
    tool_choice: { type: 'function', function: { name: 'f' } },
    parallel_tool_calls: false,
  },
];
const FORMATS = [RESPONSE_FORMAT, JSON_SCHEMA, STRUCTURED_OUTPUTS];
const TABLES = [REQUEST, MESSAGE, IMAGE_PART, NVEXT, ...FORMATS, TOOL, TOOL_FUNCTION, CALL, CALLED_FUNCTION];
const NAMES = TABLES.flatMap((table) => Object.keys(table));
const ODD: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -0,
  -1,
  1.5,
  1e308,
  2 ** 53,
  '',
  ' ',
  'text',
  '\u0000',
  '\ud800',
  '<img src="x">',
  'data:',
  'data:,',
  'data:image/png;base64,====',
  'https://x.example/y',
  'blob:null/1',
  'file:///x',
  '__proto__',
  [],
  {},
  [[]],
  [null],
  { type: 'text' },
  { image_url: {} },
  { url: PNG },
  { toString: 1 },
  { length: -1 },
  { then: true },
  { __proto__: null, constructor: {} },
];

/** Sends `count` requests, each to its end. Throws at the first that is not answered as it should be. */
export async function fuzz(seed: number, count: number): Promise<{ answered: number; refused: number }> {
  const random = xorshift(seed);
  const fetch = createFetch({
    intercept: ['https://integrate.api.nvidia.com'],
    model: async () => 'glimpse',
    limits: { requestBytes: 100_000, imageBytes: 1000, images: 5, pixels: 1e6 },
    images: { tags: true },
    policy: 'local-only',
    engine: engineOf(({ choices }) => {
      const rest = Array.from({ length: choices - 1 }, (_, i) => finish(i + 1));
      return partsOf(...ANSWER.slice(0, -1), ...rest, ...ANSWER.slice(-1));
    }),
  });
  const outcome = { answered: 0, refused: 0 };
  for (let i = 0; i < count; i++) {
    const body = brokenBody(random);
    const response = await fetch('https://integrate.api.nvidia.com/v1/chat/completions', { method: 'POST', body });
    const text = await response.text();
    const fault = faultOf(response, text);
    if (fault) throw new Error(`${fault} (seed ${seed}, request ${i}): ${new TextDecoder().decode(body)} -> ${text}`);
    if (response.ok) outcome.answered++;
    else outcome.refused++;
  }
  return outcome;
}

/** Why an answer is wrong; undefined if it is right. */
function faultOf(response: Response, text: string): string | undefined {
  if (response.status === 200) {
    const whole = text.endsWith('data: [DONE]\n\n') || text.startsWith('{"id":"chatcmpl-');
    return whole && !text.includes('"error"') ? undefined : 'a 200 that is not whole';
  }
  if (response.status < 400 || response.status > 499) return `status ${response.status}`;
  const { error } = JSON.parse(text) as { error: { message: unknown; code: string } };
  const known = Object.entries(ERRORS).some(([code, { status }]) => code === error.code && status === response.status);
  return known && typeof error.message === 'string' ? undefined : 'an error that is not typed';
}

function brokenBody(random: Random): Uint8Array<ArrayBuffer> {
  const value = structuredClone(pick(random, SEEDS));
  for (let i = random() * 3; i > 0.5; i--) mutateValue(random, value);
  const bytes = new TextEncoder().encode(JSON.stringify(value) ?? 'undefined');
  return random() < 0.25 ? mutateBytes(random, bytes) : bytes;
}

/** Changes one place, anywhere in the tree. */
function mutateValue(random: Random, root: object): void {
  const places = everyObject(root);
  const place = pick(random, places) as Record<string, unknown>;
  const key = pick(random, [...Object.keys(place), pick(random, NAMES), `x${random()}`]);
  const change = integer(random, 5);
  if (change === 0) delete place[key];
  else if (change === 1) place[key] = nested(Math.floor(random() ** 4 * 300));
  else if (change === 2) place[key] = copy(pick(random, places));
  else if (change === 3) place[key] = Array.from({ length: random() ** 6 * 1100 }, () => copy(pick(random, ODD)));
  else place[key] = copy(pick(random, ODD));
}

function mutateBytes(random: Random, bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const at = integer(random, bytes.length);
  const change = integer(random, 4);
  if (change === 0) return bytes.slice(0, at);
  if (change === 1) return bytes.with(at, integer(random, 256));
  if (change === 2) {
    const depth = integer(random, 30_000);
    const [name, open, close] = random() < 0.5 ? ['tools', '[', ']'] : ['guided_json', '{"a":[', ']}'];
    return new TextEncoder().encode(`{"model":"glimpse","${name}":${open.repeat(depth)}${close.repeat(depth)}}`);
  }
  return new Uint8Array([...bytes.slice(0, at), ...bytes.slice(integer(random, bytes.length))]);
}

function everyObject(root: object): object[] {
  const found: object[] = [];
  const open: unknown[] = [root];
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    if (typeof value !== 'object' || value === null || found.includes(value)) continue;
    found.push(value);
    if (found.length < 50) open.push(...Object.values(value));
  }
  return found;
}

function copy(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value)) as unknown;
}

function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let i = 0; i < depth; i++) value = i % 2 ? [value] : { a: value };
  return value;
}
