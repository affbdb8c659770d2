import { NearsightError } from '../protocol/errors.ts';
import type { Part, TokenLogprob } from '../protocol/job.ts';
import type { PartReader } from '../protocol/port.ts';
import type { ChatRequest } from './parse-request.ts';
import type { ChatCompletion, ChoiceLogprobs, FinishReason, Usage } from './types.ts';

/** The fields that all events of one answer share. */
export type ResponseMeta = Pick<ChatCompletion, 'id' | 'created' | 'model'>;

/** What has been read of a choice. */
interface Choice {
  text: string;
  logprobs: TokenLogprob[];
  ids: number[];
  reason?: FinishReason;
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
    return {
      index,
      message: { role: 'assistant' as const, content: text, refusal: null },
      logprobs: wantsLogprobs ? writeLogprobs(logprobs) : null,
      finish_reason: reason,
      ...(request.job.tokenIds && { token_ids: ids }),
    };
  });
  return { ...meta, object: 'chat.completion', choices: written, usage, ...prompt };
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
