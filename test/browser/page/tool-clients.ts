// The loops in which client libraries call tools, unmodified, behind one function.
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { HumanMessage, ToolMessage, type AIMessageChunk, type BaseMessage } from '@langchain/core/messages';
import { ChatOpenAI } from '@langchain/openai';
import { generateText, isStepCount, jsonSchema, streamText, tool } from 'ai';
import OpenAI from 'openai';
import type { Client } from './clients.ts';

/** A question for whose answer a tool is called. */
export interface ToolQuestion {
  fetch: typeof fetch;
  /** A `data:` URL. */
  image: string;
  stream: boolean;
}

/** The arguments of each call, as the tool got them, and the text at the end. */
export interface ToolOutcome {
  calls: unknown[];
  text: string;
}

type Run = (args: unknown) => string;
type Ask = (question: ToolQuestion, run: Run) => Promise<string>;

const BASE_URL = 'https://integrate.api.nvidia.com/v1';
const MODEL = 'glimpse';
const TEXT = 'What is this?';
const LIMIT = 120;
const NAME = 'add';
const DESCRIPTION = 'Adds it to the list.';
const PARAMETERS = {
  type: 'object' as const,
  properties: {
    color: { type: 'string' as const, enum: ['red', 'green'] },
    count: { type: 'integer' as const, minimum: 1, maximum: 9 },
  },
  required: ['color', 'count'],
  additionalProperties: false,
};

/** `openai`: `runTools`. */
const openai: Ask = async ({ fetch, image, stream }, run) => {
  const client = new OpenAI({
    baseURL: BASE_URL,
    apiKey: 'local',
    fetch,
    maxRetries: 0,
    dangerouslyAllowBrowser: true,
  });
  const content = [
    { type: 'text' as const, text: TEXT },
    { type: 'image_url' as const, image_url: { url: image } },
  ];
  const request = {
    model: MODEL,
    max_tokens: LIMIT,
    messages: [{ role: 'user' as const, content }],
    tools: [
      {
        type: 'function' as const,
        function: { name: NAME, description: DESCRIPTION, parameters: PARAMETERS, parse: JSON.parse, function: run },
      },
    ],
  };
  const runner = stream
    ? client.chat.completions.runTools({ ...request, stream: true })
    : client.chat.completions.runTools(request);
  return (await runner.finalContent()) ?? '';
};

/** The AI SDK: `generateText` and `streamText`, with a tool that is executed. */
const aiSdk: Ask = async ({ fetch, image, stream }, run) => {
  const add = tool({
    description: DESCRIPTION,
    inputSchema: jsonSchema(PARAMETERS),
    execute: async (args) => run(args),
  });
  const content = [
    { type: 'text' as const, text: TEXT },
    { type: 'file' as const, data: image, mediaType: 'image/png' },
  ];
  const request = {
    model: createOpenAICompatible({ name: 'nearsight', baseURL: BASE_URL, fetch })(MODEL),
    maxOutputTokens: LIMIT,
    maxRetries: 0,
    messages: [{ role: 'user' as const, content }],
    tools: { [NAME]: add },
    stopWhen: isStepCount(3),
  };
  if (!stream) return (await generateText(request)).text;
  let failed: { error: unknown } | undefined;
  const result = streamText({ ...request, onError: (event) => void (failed = event) });
  const text = await result.text;
  if (failed) throw failed.error;
  return text;
};

/** LangChain: `bindTools`, with the loop that its documentation has. */
const langChain: Ask = async ({ fetch, image, stream }, run) => {
  const chat = new ChatOpenAI({
    model: MODEL,
    apiKey: 'local',
    maxTokens: LIMIT,
    maxRetries: 0,
    configuration: { baseURL: BASE_URL, fetch },
  }).bindTools([{ type: 'function', function: { name: NAME, description: DESCRIPTION, parameters: PARAMETERS } }]);
  const content = [
    { type: 'text' as const, text: TEXT },
    { type: 'image_url' as const, image_url: { url: image } },
  ];
  const messages: BaseMessage[] = [new HumanMessage({ content })];
  for (;;) {
    let answer: AIMessageChunk | undefined;
    if (stream) for await (const chunk of await chat.stream(messages)) answer = answer ? answer.concat(chunk) : chunk;
    else answer = await chat.invoke(messages);
    if (!answer?.tool_calls?.length) return answer?.text ?? '';
    messages.push(answer);
    for (const { id = '', args } of answer.tool_calls) {
      messages.push(new ToolMessage({ tool_call_id: id, content: run(args) }));
    }
  }
};

const CLIENTS: Record<Client, Ask> = { openai, 'the AI SDK': aiSdk, LangChain: langChain };

/** Asks through a client's loop. */
export async function callThrough(client: Client, question: ToolQuestion): Promise<ToolOutcome> {
  const calls: unknown[] = [];
  const run: Run = (args) => {
    calls.push(args);
    return 'added';
  };
  return { text: await CLIENTS[client](question, run), calls };
}
