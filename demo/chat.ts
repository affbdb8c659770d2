import { createParser } from 'eventsource-parser';
import type { ChatCompletionChunk, ChatCompletionMessageParam } from 'openai/resources/chat/completions';

// The URL of NVIDIA's NIM API. nearsight intercepts it; nothing is sent there.
const ENDPOINT = 'https://integrate.api.nvidia.com/v1/chat/completions';

/** Enough for a paragraph. Without it, a model that never ends its answer would fill the context. */
const MAX_TOKENS = 128;

/** More for data, which has names and punctuation besides. */
const MAX_DATA_TOKENS = 320;

/** A question and its answer. */
export interface Exchange {
  question: string;
  answer: string;
}

/** Where an answer came from, and how fast. */
export interface Receipt {
  /** `local` or `remote`. */
  origin: string;
  model: string;
  /** From the visitor's question to the first token, including the load if there was one. */
  firstTokenMs: number;
  /** Undefined when the answer was too short to measure. */
  tokensPerSecond: number | undefined;
  /** The answer was cut off at the limit. */
  cut: boolean;
}

/** An error of the OpenAI format. */
export class ChatError extends Error {
  override readonly name = 'ChatError';
  readonly code: string;

  constructor({ code, message }: ErrorBody) {
    super(message);
    this.code = code;
  }
}

interface ErrorBody {
  code: string;
  message: string;
}

/** The data of an event: a chunk, or the error that ends the stream. */
type StreamEvent = ChatCompletionChunk | { error: ErrorBody };

export interface Question {
  model: string;
  /** A `blob:` or `data:` URL. */
  image: string;
  /** Earlier turns on the same image, oldest first. */
  history: readonly Exchange[];
  text: string;
  /** Fields of the request that say what the answer must be. */
  fields: object | undefined;
  /** When the visitor asked, by `performance.now()`. */
  asked: number;
  signal: AbortSignal;
  onText: (text: string) => void;
}

/**
 * Sends a streaming request in the OpenAI format, and passes each piece of text to `onText`.
 *
 * @throws ChatError with the code and message of the response; the signal's reason when it aborts
 */
export async function ask(fetch: typeof globalThis.fetch, question: Question): Promise<Receipt> {
  const response = await fetch(ENDPOINT, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    signal: question.signal,
    body: JSON.stringify({
      model: question.model,
      messages: messagesOf(question),
      max_tokens: question.fields ? MAX_DATA_TOKENS : MAX_TOKENS,
      ...question.fields,
      stream: true,
      stream_options: { include_usage: true },
    }),
  });
  if (!response.ok || !response.body) {
    const { error }: { error: ErrorBody } = await response.json();
    throw new ChatError(error);
  }
  const first = performance.now();
  let tokens = 0;
  let cut = false;
  await readEvents(response.body, (event) => {
    if ('error' in event) throw new ChatError(event.error);
    const [choice] = event.choices;
    if (choice?.delta.content) question.onText(choice.delta.content);
    if (choice?.finish_reason === 'length') cut = true;
    if (event.usage) tokens = event.usage.completion_tokens;
  });
  const seconds = (performance.now() - first) / 1000;
  return {
    origin: response.headers.get('x-nearsight-origin') ?? 'remote',
    model: response.headers.get('x-nearsight-model') ?? question.model,
    firstTokenMs: first - question.asked,
    // The response resolves at the first token, so the rate is that of the other tokens.
    tokensPerSecond: tokens > 4 ? (tokens - 1) / seconds : undefined,
    cut,
  };
}

/** The whole conversation, with the image in its first question: a request has no memory of earlier ones. */
function messagesOf({ image, history, text }: Question): ChatCompletionMessageParam[] {
  const questions = [...history.map(({ question }) => question), text];
  return questions.flatMap((question, turn): ChatCompletionMessageParam[] => {
    const message: ChatCompletionMessageParam = {
      role: 'user',
      content:
        turn > 0
          ? question
          : [
              { type: 'image_url', image_url: { url: image } },
              { type: 'text', text: question },
            ],
    };
    const exchange = history[turn];
    return exchange ? [message, { role: 'assistant', content: exchange.answer }] : [message];
  });
}

/** Reads server-sent events to the end of the stream; an error cancels the stream. */
async function readEvents(body: ReadableStream<Uint8Array>, onEvent: (event: StreamEvent) => void): Promise<void> {
  const parser = createParser({
    onEvent: ({ data }) => {
      if (data !== '[DONE]') onEvent(JSON.parse(data));
    },
  });
  const reader = body.getReader();
  const text = new TextDecoder();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      parser.feed(text.decode(value, { stream: true }));
    }
  } catch (error) {
    await reader.cancel(error);
    throw error;
  }
}
