// Structured output through the client libraries, unmodified: how their documentation asks for it.
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { HumanMessage } from '@langchain/core/messages';
import { ChatOpenAI } from '@langchain/openai';
import { generateObject, generateText, Output, streamObject, streamText } from 'ai';
import OpenAI from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';

const baseURL = 'https://integrate.api.nvidia.com/v1';
const model = 'glimpse';
const maxTokens = 400;

/** Of each kind that the generators write differently: bounds, a format with a pattern, a union, an enum, null. (openai's helper refuses tuples.) */
export const Thing = z.object({
  name: z.string().min(1).max(12),
  seen: z.iso.date(),
  color: z.enum(['red', 'yellow', 'blue']).nullable(),
  count: z.int().min(0).max(9),
  box: z.array(z.int().min(0).max(99)).length(4),
  tags: z
    .array(
      z
        .string()
        .regex(/^[a-z]+$/)
        .max(8),
    )
    .max(2),
  shape: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('round'), radius: z.number().min(0).max(1) }),
    z.object({ kind: z.literal('square'), side: z.number().min(0).max(1) }),
  ]),
});

/** The value that a client made of the answer, and how many parts of it came before. */
export interface Parsed {
  value: unknown;
  parts: number;
}

type Ask = (fetch: typeof globalThis.fetch, image: string) => Promise<Parsed>;

const question = 'What is this?';
const openaiClient = (fetch: typeof globalThis.fetch): OpenAI =>
  new OpenAI({ baseURL, apiKey: 'local', fetch, maxRetries: 0, dangerouslyAllowBrowser: true });
const openaiRequest = (image: string) => ({
  model,
  max_tokens: maxTokens,
  messages: [
    {
      role: 'user' as const,
      content: [
        { type: 'image_url' as const, image_url: { url: image } },
        { type: 'text' as const, text: question },
      ],
    },
  ],
  response_format: zodResponseFormat(Thing, 'thing'),
});
const aiRequest = (fetch: typeof globalThis.fetch, image: string) => ({
  model: createOpenAICompatible({ name: 'nearsight', baseURL, fetch, supportsStructuredOutputs: true })(model),
  maxOutputTokens: maxTokens,
  maxRetries: 0,
  messages: [
    {
      role: 'user' as const,
      content: [
        { type: 'file' as const, data: image, mediaType: 'image/png' },
        { type: 'text' as const, text: question },
      ],
    },
  ],
});
const langChain = (fetch: typeof globalThis.fetch) =>
  new ChatOpenAI({ model, apiKey: 'local', maxTokens, maxRetries: 0, configuration: { baseURL, fetch } });
const langChainMessages = (image: string) => [
  new HumanMessage({
    content: [
      { type: 'image_url', image_url: { url: image } },
      { type: 'text', text: question },
    ],
  }),
];

/** Counts the parts of a stream. */
async function count(stream: AsyncIterable<unknown>): Promise<number> {
  let parts = 0;
  for await (const _ of stream) parts++;
  return parts;
}

export const ways = {
  'openai: parse': async (fetch, image) => {
    const { choices } = await openaiClient(fetch).chat.completions.parse(openaiRequest(image));
    return { value: choices[0]?.message.parsed, parts: 0 };
  },
  'openai: stream': async (fetch, image) => {
    let parts = 0;
    const stream = openaiClient(fetch)
      .chat.completions.stream(openaiRequest(image))
      .on('content.delta', ({ parsed }) => (parts += parsed === undefined || parsed === null ? 0 : 1));
    const { choices } = await stream.finalChatCompletion();
    return { value: choices[0]?.message.parsed, parts };
  },
  'the AI SDK: generateText with an output': async (fetch, image) => {
    const { output } = await generateText({ ...aiRequest(fetch, image), output: Output.object({ schema: Thing }) });
    return { value: output, parts: 0 };
  },
  'the AI SDK: streamText with an output': async (fetch, image) => {
    const result = streamText({ ...aiRequest(fetch, image), output: Output.object({ schema: Thing }) });
    const parts = await count(result.partialOutputStream);
    return { value: await result.output, parts };
  },
  'the AI SDK: generateObject': async (fetch, image) => {
    const { object } = await generateObject({ ...aiRequest(fetch, image), schema: Thing });
    return { value: object, parts: 0 };
  },
  'the AI SDK: streamObject': async (fetch, image) => {
    const result = streamObject({ ...aiRequest(fetch, image), schema: Thing });
    const parts = await count(result.partialObjectStream);
    return { value: await result.object, parts };
  },
  'LangChain: invoke': async (fetch, image) => {
    const chat = langChain(fetch).withStructuredOutput(Thing, { name: 'thing', method: 'jsonSchema' });
    return { value: await chat.invoke(langChainMessages(image)), parts: 0 };
  },
  'LangChain: stream': async (fetch, image) => {
    const chat = langChain(fetch).withStructuredOutput(Thing, { name: 'thing', method: 'jsonSchema' });
    let value: unknown;
    let parts = 0;
    for await (value of await chat.stream(langChainMessages(image))) parts++;
    return { value, parts };
  },
} satisfies Record<string, Ask>;

export type Way = keyof typeof ways;
