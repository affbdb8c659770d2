import { createParser } from 'eventsource-parser';
import type { ChatCompletionChunk, ChatCompletionMessageParam } from 'openai/resources/chat/completions';

// The address that a page would use with NIM's servers. nearsight answers for it; nothing is sent there.
const ENDPOINT = 'https://integrate.api.nvidia.com/v1/chat/completions';

/** Where an answer is cut off. Enough for a paragraph; a model that finds no end must not run on to the context's. */
const MAX_TOKENS = 128;

/** A question and what was answered. */
export interface Exchange {
  question: string;
  answer: string;
}

/** How an answer came about. */
export interface Receipt {
  /** `local` or `remote`. */
  origin: string;
  model: string;
  /** From the request to the first token, loading included when it was the first. */
  firstTokenMs: number;
  /** Absent when the answer was too short to tell. */
  tokensPerSecond: number | undefined;
  /** The answer was cut off at the limit. */
  cut: boolean;
}

/** The wire's error, as thrown here. */
export class ChatError extends Error {
  override readonly name = 'ChatError';
  readonly code: string;

  constructor({ code, message }: WireError) {
    super(message);
    this.code = code;
  }
}

interface WireError {
  code: string;
  message: string;
}

/** What an event of the stream holds: a chunk, or the error that ends it. */
type StreamEvent = ChatCompletionChunk | { error: WireError };

export interface Question {
  model: string;
  /** A `blob:` or `data:` URL. */
  image: string;
  /** Earlier turns on the same image, oldest first. */
  history: readonly Exchange[];
  text: string;
  signal: AbortSignal;
  onText: (text: string) => void;
}

/**
 * Asks over the OpenAI wire, as any client would, and calls back with the text as it comes.
 *
 * @throws ChatError with the wire's words; the signal's reason when it aborts
 */
export async function ask(fetch: typeof globalThis.fetch, question: Question): Promise<Receipt> {
  const asked = performance.now();
  const response = await fetch(ENDPOINT, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    signal: question.signal,
    body: JSON.stringify({
      model: question.model,
      messages: messagesOf(question),
      max_tokens: MAX_TOKENS,
      stream: true,
      stream_options: { include_usage: true },
    }),
  });
  if (!response.ok || !response.body) {
    const refusal: { error: WireError } = await response.json();
    throw new ChatError(refusal.error);
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
    firstTokenMs: first - asked,
    // The response came with the first token: the rate is that of the others, if there are enough to have one.
    tokensPerSecond: tokens > 4 ? (tokens - 1) / seconds : undefined,
    cut,
  };
}

/** The whole conversation, with the image in its first question: the wire has no memory. */
function messagesOf({ image, history, text }: Question): ChatCompletionMessageParam[] {
  const questions = [...history.map(({ question }) => question), text];
  return questions.flatMap((question, turn): ChatCompletionMessageParam[] => {
    const asked: ChatCompletionMessageParam = {
      role: 'user',
      content:
        turn > 0
          ? question
          : [
              { type: 'image_url', image_url: { url: image } },
              { type: 'text', text: question },
            ],
    };
    const answered = history[turn];
    return answered ? [asked, { role: 'assistant', content: answered.answer }] : [asked];
  });
}

/** Reads a stream of server-sent events up to its end; leaving early cancels it. */
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
