// The client libraries, unmodified, behind one function. A module of its own, so that only tests that need them load them.
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { HumanMessage } from '@langchain/core/messages';
import { ChatOpenAI } from '@langchain/openai';
import { generateText, RetryError, streamText } from 'ai';
import OpenAI from 'openai';

/** A question about an image, with the options that all clients have. */
export interface Question {
  fetch: typeof fetch;
  /** A `data:` URL. */
  image: string;
  model: string;
  /** `helper`: the client's own method that assembles a stream, if it has one. */
  how?: 'whole' | 'stream' | 'helper';
  text?: string;
  maxTokens?: number;
  /** Default 0. */
  retries?: number;
  timeoutMs?: number;
  signal?: AbortSignal;
  onText?: (text: string) => void;
}

/** The text that came, and the error, if any. */
export interface Outcome {
  text: string;
  error: ClientError | null;
}

/** An error as the client throws it. */
export interface ClientError {
  kind: string;
  status: number | undefined;
  code: string | undefined;
  message: string;
}

type Ask = (question: Question, onText: (text: string) => void) => Promise<void>;

const BASE_URL = 'https://integrate.api.nvidia.com/v1';

/** `openai`: `create`, with `stream: true`, and the `.stream()` helper. */
const openai: Ask = async ({ fetch, model, image, how, text = 'What is this?', ...question }, onText) => {
  const { maxTokens = 4, retries = 0, signal, timeoutMs } = question;
  const client = new OpenAI({
    baseURL: BASE_URL,
    apiKey: 'local',
    fetch,
    maxRetries: retries,
    dangerouslyAllowBrowser: true,
  });
  const content = [
    { type: 'text' as const, text },
    { type: 'image_url' as const, image_url: { url: image } },
  ];
  const request = { model, max_tokens: maxTokens, messages: [{ role: 'user' as const, content }] };
  const options = { ...(signal && { signal }), ...(timeoutMs && { timeout: timeoutMs }) };
  if (how === 'stream') {
    const stream = await client.chat.completions.create({ ...request, stream: true }, options);
    for await (const chunk of stream) onText(chunk.choices[0]?.delta.content ?? '');
  } else if (how === 'helper') {
    const stream = client.chat.completions.stream(request, options).on('content', (delta) => onText(delta));
    await stream.finalChatCompletion();
  } else {
    const { choices } = await client.chat.completions.create(request, options);
    onText(choices[0]?.message.content ?? '');
  }
};

/** The AI SDK: `generateText` and `streamText`. */
const aiSdk: Ask = async ({ fetch, model, image, how, text = 'What is this?', ...question }, onText) => {
  const { maxTokens = 4, retries = 0, signal, timeoutMs } = question;
  const content = [
    { type: 'text' as const, text },
    { type: 'file' as const, data: image, mediaType: 'image/png' },
  ];
  const request = {
    model: createOpenAICompatible({ name: 'nearsight', baseURL: BASE_URL, fetch })(model),
    maxOutputTokens: maxTokens,
    maxRetries: retries,
    messages: [{ role: 'user' as const, content }],
    ...(signal && { abortSignal: signal }),
    ...(timeoutMs && { timeout: timeoutMs }),
  };
  if (how !== 'stream') return onText((await generateText(request)).text);
  // The client reports errors of a stream here, and ends the text.
  let failed: { error: unknown } | undefined;
  for await (const piece of streamText({ ...request, onError: (event) => void (failed = event) }).textStream) {
    onText(piece);
  }
  if (failed) throw failed.error;
};

/** LangChain: `invoke` and `stream`. */
const langChain: Ask = async ({ fetch, model, image, how, text = 'What is this?', ...question }, onText) => {
  const { maxTokens = 4, retries = 0, signal, timeoutMs } = question;
  const chat = new ChatOpenAI({
    model,
    apiKey: 'local',
    maxTokens,
    maxRetries: retries,
    configuration: { baseURL: BASE_URL, fetch },
    ...(timeoutMs && { timeout: timeoutMs }),
  });
  const content = [
    { type: 'text' as const, text },
    { type: 'image_url' as const, image_url: { url: image } },
  ];
  const messages = [new HumanMessage({ content })];
  const options = signal ? { signal } : {};
  if (how !== 'stream') return onText((await chat.invoke(messages, options)).text);
  for await (const piece of await chat.stream(messages, options)) onText(piece.text);
};

const CLIENTS = { openai, 'the AI SDK': aiSdk, LangChain: langChain };

export type Client = keyof typeof CLIENTS;

/** Asks through a client, and never rejects. */
export async function askThrough(client: Client, question: Question): Promise<Outcome> {
  let received = '';
  const onText = (text: string): void => {
    if (text === '') return;
    received += text;
    question.onText?.(text);
  };
  try {
    await CLIENTS[client](question, onText);
    return { text: received, error: null };
  } catch (error) {
    return { text: received, error: clientErrorOf(error) };
  }
}

function clientErrorOf(thrown: unknown): ClientError {
  // The AI SDK wraps the last of several failures in an error of its own.
  const error = (RetryError.isInstance(thrown) ? thrown.lastError : thrown) as Error & {
    status?: number;
    statusCode?: number;
    code?: string | null;
    data?: { error: { code: string } };
  };
  const { name, constructor } = thrown as Error;
  return {
    // A bundler appends numbers to classes with the same name.
    kind: (name === 'Error' ? constructor.name : name).replace(/\$\d+$/, ''),
    status: error.status ?? error.statusCode,
    code: error.code ?? error.data?.error.code,
    message: error.message,
  };
}
