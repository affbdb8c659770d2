import { NearsightError } from '../protocol/errors.ts';
import type { Part, TokenLogprob } from '../protocol/job.ts';
import type { PartReader } from '../protocol/port.ts';
import type { ChatRequest } from './parse-request.ts';
import type { ChatCompletion, ChoiceLogprobs, FinishReason, Usage } from './types.ts';

/** The fields that all events of one answer share. */
export interface ResponseMeta {
  id: string;
  /** Unix time, in seconds. */
  created: number;
  model: string;
}

/** Reads parts to their end into one JSON body. Rejects with what the parts error with. */
export async function readCompletion(
  parts: PartReader<Part>,
  request: ChatRequest,
  meta: ResponseMeta,
): Promise<ChatCompletion> {
  const choices = Array.from({ length: request.job.choices }, () => new Choice());
  let usage: Usage | undefined;
  for (let next = await parts.read(); !next.done; next = await parts.read()) {
    const part = next.value;
    if (part.type === 'text') choices[part.choice]?.append(part.text, part.logprobs);
    if (part.type === 'finish') choices[part.choice]?.finish(part.reason);
    if (part.type === 'usage') usage = writeUsage(part);
  }
  if (!usage) throw endedEarly();
  const wantsLogprobs = request.job.topLogprobs !== undefined;
  const written = choices.map((choice, index) => choice.write(index, wantsLogprobs));
  return { ...meta, object: 'chat.completion', choices: written, usage };
}

class Choice {
  #text = '';
  readonly #logprobs: TokenLogprob[] = [];
  #reason: FinishReason | undefined;

  append(text: string, logprobs: readonly TokenLogprob[] = []): void {
    this.#text += text;
    this.#logprobs.push(...logprobs);
  }

  finish(reason: FinishReason): void {
    this.#reason = reason;
  }

  write(index: number, wantsLogprobs: boolean): ChatCompletion['choices'][number] {
    if (!this.#reason) throw endedEarly();
    return {
      index,
      message: { role: 'assistant', content: this.#text, refusal: null },
      logprobs: wantsLogprobs ? writeLogprobs(this.#logprobs) : null,
      finish_reason: this.#reason,
    };
  }
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
