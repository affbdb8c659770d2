import { NearsightError } from '../protocol/errors.ts';
import type { Part, TokenLogprob } from '../protocol/job.ts';
import type { PartReader } from '../protocol/port.ts';
import type { ChatRequest } from './parse-request.ts';
import { ToolCallReader } from './tool-call-reader.ts';
import type { ChatCompletion, ChoiceLogprobs, FinishReason, ToolCall, Usage } from './types.ts';

/** The fields that all events of one answer share. */
export type ResponseMeta = Pick<ChatCompletion, 'id' | 'created' | 'model'>;

/** What has been read of a choice. */
interface Choice {
  text: string;
  logprobs: TokenLogprob[];
  ids: number[];
  reason?: 'stop' | 'length';
}

/** Reads parts to their end into one JSON body. Rejects with what the parts error with. */
export async function readCompletion(
  parts: PartReader<Part>,
  request: ChatRequest,
  meta: ResponseMeta,
): Promise<ChatCompletion> {
  const choices = Array.from({ length: request.job.choices }, (): Choice => ({ text: '', logprobs: [], ids: [] }));
  let usage: Usage | undefined;
  let prompt: { prompt_token_ids?: number[] } = {};
  for (let next = await parts.read(); !next.done; next = await parts.read()) {
    const part = next.value;
    const choice = 'choice' in part ? choices[part.choice] : undefined;
    if (choice && part.type === 'text') {
      choice.text += part.text;
      choice.logprobs.push(...(part.logprobs ?? []));
      choice.ids.push(...(part.ids ?? []));
    }
    if (choice && part.type === 'finish') choice.reason = part.reason;
    if (part.type === 'start' && part.promptIds) prompt = { prompt_token_ids: part.promptIds };
    if (part.type === 'usage') usage = writeUsage(part);
  }
  if (!usage) throw endedEarly();
  const wantsLogprobs = request.job.topLogprobs !== undefined;
  const written = choices.map(({ text, logprobs, ids, reason }, index) => {
    if (!reason) throw endedEarly();
    const { content, calls } = splitCalls(text, request);
    return {
      index,
      message: { role: 'assistant' as const, content, refusal: null, ...(calls.length > 0 && { tool_calls: calls }) },
      logprobs: wantsLogprobs ? writeLogprobs(logprobs) : null,
      finish_reason: finishReason(reason, calls.length, request),
      ...(request.job.tokenIds && { token_ids: ids }),
    };
  });
  return { ...meta, object: 'chat.completion', choices: written, usage, ...prompt };
}

/** The reader of a choice's calls; undefined if it may have none. */
export function callReader({ toolChoice, job: { constraint } }: ChatRequest): ToolCallReader | undefined {
  if (!toolChoice || constraint?.type !== 'tools') return undefined;
  return new ToolCallReader(constraint.required ? 'calls' : constraint.otherwise ? 'either' : 'both');
}

/** As OpenAI has it: the call of a tool that the request names is no other end than that of a text. */
export function finishReason(reason: 'stop' | 'length', calls: number, { toolChoice }: ChatRequest): FinishReason {
  return reason === 'stop' && calls > 0 && toolChoice !== 'named' ? 'tool_calls' : reason;
}

function splitCalls(text: string, request: ChatRequest): { content: string | null; calls: ToolCall[] } {
  const reader = callReader(request);
  if (!reader) return { content: text, calls: [] };
  let content = '';
  const calls: ToolCall[] = [];
  for (const delta of [...reader.push(text), ...reader.finish()]) {
    content += delta.content ?? '';
    for (const { index, id = '', function: called } of delta.tool_calls ?? []) {
      const call = (calls[index] ??= { id, type: 'function', function: { name: called.name ?? '', arguments: '' } });
      call.function.arguments += called.arguments;
    }
  }
  return { content: content || (calls.length > 0 ? null : ''), calls };
}

/** The runtime sends a finish for every choice and a usage; an answer without them is not complete. */
export function endedEarly(): NearsightError {
  return new NearsightError('internal', 'The answer ended before it was finished.');
}

export function writeLogprobs(logprobs: readonly TokenLogprob[]): ChoiceLogprobs {
  const content = logprobs.map(({ token, logprob, bytes, top }) => ({ token, logprob, bytes, top_logprobs: top }));
  return { content, refusal: null };
}

export function writeUsage(part: Extract<Part, { type: 'usage' }>): Usage {
  return {
    prompt_tokens: part.promptTokens,
    completion_tokens: part.completionTokens,
    total_tokens: part.promptTokens + part.completionTokens,
    prompt_tokens_details: { cached_tokens: part.cachedTokens },
  };
}
