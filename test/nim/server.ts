/**
 * A stand-in for NIM: a real HTTP server on loopback that answers as the hosted catalogue, its gateway and the
 * containers do. The recorded answers are in errors.ts and streams.ts. The model's name selects one: `error/NAME`, `once/NAME` (the error at first, then an answer), `stream/NAME`, `queued/N`; anything else is
 * answered. More may follow the name, to tell requests apart. A POST to `/v1/cut` breaks off the answers under way to
 * the model that it names: browsers throw away what a page has not read by then, so a page says when it has.
 */
import { createServer, STATUS_CODES, type IncomingMessage, type ServerResponse } from 'node:http';
import { ERRORS } from './errors.ts';
import { STREAMS } from './streams.ts';

/** A request as it arrived. */
export interface Seen {
  method: string;
  path: string;
  headers: IncomingMessage['headers'];
  body: Record<string, unknown>;
  /** The body as text. */
  text: string;
  /** Whether the client closed the connection before the answer was complete. */
  aborted: boolean;
  /** Breaks the answer off. */
  cut(): void;
}

export interface NimOptions {
  /** Which fields are rejected: those that the dialect does not document. @defaultValue 'nim2', none */
  dialect?: 'nim1' | 'nim2' | 'hosted';
  /** The origin that may call from a page; absent: none, as on NVIDIA's own hosts. */
  cors?: string;
  /** The only key that is accepted; absent: all are. */
  key?: string;
}

export interface Nim {
  /** Ends in `/v1`. */
  baseURL: string;
  seen: Seen[];
  close(): Promise<void>;
}

/** Written by hand from NVIDIA's documentation: not from our own table, which it checks. */
const DOCUMENTED = {
  hosted: 'model messages max_tokens temperature top_p seed stop stream frequency_penalty presence_penalty',
  nim1:
    'model messages max_tokens temperature top_p min_p seed stop stream stream_options n frequency_penalty ' +
    'presence_penalty logit_bias logprobs top_logprobs response_format nvext tools tool_choice parallel_tool_calls user ' +
    'prompt_logprobs echo add_special_tokens documents chat_template chat_template_kwargs guided_whitespace_pattern ' +
    'image num_frames_per_inference media_response_type',
  nvext: 'guided_json guided_regex guided_choice guided_grammar ignore_eos top_k repetition_penalty',
  response_format: 'type',
};

export async function startNim(options: NimOptions = {}): Promise<Nim> {
  const seen: Seen[] = [];
  const server = createServer((request, response) => {
    // A client may leave in the middle of its upload.
    answer(request, response, options, seen).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (typeof address !== 'object' || !address) throw new Error('The server has no port.');
  return {
    baseURL: `http://127.0.0.1:${address.port}/v1`,
    seen,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: NimOptions,
  seen: Seen[],
): Promise<void> {
  const { method = '', url: path = '', headers } = request;
  if (options.cors) allowOrigin(response, options.cors);
  if (method === 'OPTIONS') return void response.writeHead(options.cors ? 204 : 403).end();
  const text = await readText(request);
  const body = text ? (JSON.parse(text) as Record<string, unknown>) : {};
  if (path === '/v1/cut') {
    for (const { body: asked, cut } of seen) if (asked['model'] === body['model']) cut();
    return void response.end();
  }
  const entry: Seen = { method, path, headers, body, text, aborted: false, cut: () => response.destroy() };
  seen.push(entry);
  response.on('close', () => (entry.aborted = !response.writableFinished));
  if (options.key && headers.authorization !== `Bearer ${options.key}`) return sendError(response, 'wrong-key');
  const status = /^\/v1\/status\/([\w-]+)$/.exec(path)?.[1];
  if (status) return sendQueued(response, status);
  const legacy = /^\/v1\/vlm\/([^/]+\/[^/]+)$/.exec(path)?.[1];
  if (!legacy && path !== '/v1/chat/completions') return sendError(response, 'unknown-path');
  const model = legacy ?? String(entry.body['model']);
  const [kind = '', name = ''] = model.split('/');
  const extra = options.dialect && options.dialect !== 'nim2' && undocumented(entry.body, options.dialect);
  if (extra)
    return sendJson(response, 422, { detail: [{ loc: ['body', extra], msg: 'Extra inputs are not permitted' }] });
  if (kind === 'error') return sendError(response, name);
  if (kind === 'once' && seen.filter(({ body }) => body['model'] === model).length === 1)
    return sendError(response, name);
  if (kind === 'queued') return sendQueued(response, name);
  if (entry.body['stream']) return sendStream(response, kind === 'stream' ? name : 'openai');
  sendJson(response, 200, completion(model));
}

function undocumented(body: Record<string, unknown>, dialect: 'nim1' | 'hosted'): string | undefined {
  const extra = (fields: unknown, known: string): string | undefined =>
    Object.keys(Object(fields)).find((field) => !known.split(' ').includes(field));
  const { nvext, response_format } = body;
  return (
    extra(body, DOCUMENTED[dialect]) ??
    extra(nvext, DOCUMENTED.nvext) ??
    extra(response_format, DOCUMENTED.response_format)
  );
}

/** The answer of a vision container. */
export function completion(model: string): object {
  return {
    id: 'chatcmpl-remote',
    object: 'chat.completion',
    created: 1735790403,
    model,
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: 'From afar.', refusal: null, tool_calls: [], reasoning_content: null },
        logprobs: null,
        finish_reason: 'stop',
        stop_reason: null,
      },
    ],
    usage: { prompt_tokens: 1034, completion_tokens: 3, total_tokens: 1037, prompt_tokens_details: null },
  };
}

/** `queued/2` is answered 202 twice: first the request, then the first look at its state. */
function sendQueued(response: ServerResponse, left: string): void {
  const count = Number(left.replace(/^r-/, ''));
  if (count === 0) return sendJson(response, 200, completion('queued/0'), { 'nvcf-status': 'fulfilled' });
  // As NVCF, the only one that queues.
  response.setHeader('access-control-expose-headers', 'nvcf-reqid');
  response.writeHead(202, { 'nvcf-reqid': `r-${count - 1}`, 'nvcf-status': 'in-progress' }).end();
}

function sendError(response: ServerResponse, name: string): void {
  const error = ERRORS.find((one) => one.name === name);
  if (!error) throw new Error(`There is no error '${name}'.`);
  response.writeHead(error.status, STATUS_CODES[error.status] ?? '', error.headers).end(error.body);
}

function sendStream(response: ServerResponse, name: string): void {
  const stream = STREAMS.find((one) => one.name === name);
  if (!stream) throw new Error(`There is no stream '${name}'.`);
  response.writeHead(200, { 'content-type': 'text/event-stream', 'nvcf-reqid': 'f3b4', 'nvcf-status': 'fulfilled' });
  const chunks = [...stream.chunks];
  const next = (): void => {
    const chunk = chunks.shift();
    if (chunk === undefined)
      return void (stream.end === 'cut' ? response.destroy() : stream.end === 'hang' || response.end());
    response.write(chunk);
    setTimeout(next, 2);
  };
  next();
}

function sendJson(response: ServerResponse, status: number, body: object, headers = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}

/** As NIM 2.x does by default: its list of headers has none of the SDKs' own. */
function allowOrigin(response: ServerResponse, origin: string): void {
  response.setHeader('access-control-allow-origin', origin);
  response.setHeader('access-control-allow-methods', 'GET, POST, PUT, DELETE, PATCH, OPTIONS');
  response.setHeader('access-control-allow-headers', 'Content-Type, Authorization, X-Request-Id');
  response.setHeader('access-control-expose-headers', 'X-Request-Id');
}

async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
