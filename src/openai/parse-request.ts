import { NearsightError } from '../protocol/errors.ts';
import { GREEDY, type ChatJob, type Sampling, type TokenRules } from '../protocol/job.ts';
import { readConstraint } from './constraint.ts';
import { mustBe, readFields, type Values } from './field-checks.ts';
import { REQUEST } from './fields.ts';
import { readTurns, type RequestTurn } from './messages.ts';
import { readTools, type ToolUse } from './tools.ts';

/** A chat request that passed the checks, with defaults filled in. */
export interface ChatRequest {
  /** As the client named it; the response repeats it. */
  model: string;
  stream: boolean;
  /** A last chunk with the usage. Streams only: a JSON body always has it. */
  includeUsage: boolean;
  turns: readonly RequestTurn[];
  /** How the answer may call tools; absent: it may not, and its text is only text. */
  toolChoice?: ToolUse['choice'] | undefined;
  /** The job without its turns, whose images are not loaded yet, and without the image limits. */
  job: Omit<ChatJob, 'turns' | 'limits'>;
}

/**
 * Checks the body of a chat completion request against the table in `fields.ts`.
 *
 * @param imgTags whether `<img src="…">` in a user's string content is an image; else it stays text
 * @throws NearsightError with the field in `param`: `invalid_request` if any field is invalid, else `unsupported_field` or
 *   `unsupported_schema`; what fields mean together is read only if none is refused
 */
export function parseChat(body: unknown, imgTags = false): ChatRequest {
  let deferred: NearsightError | undefined;
  const fields = readFields(body, REQUEST, '', (fault) => (deferred ??= fault));
  if (!fields.model) throw mustBe('the name of a model', fields.model, 'model');
  if (!fields.messages) throw mustBe('an array of messages', fields.messages, 'messages');
  const stream = fields.stream ?? false;
  if (fields.stream_options && !stream) throw needs('stream_options', 'stream');
  if (fields.top_logprobs && !fields.logprobs) throw needs('top_logprobs', 'logprobs');
  const maxTokens = same('max_tokens', fields.max_tokens, 'max_completion_tokens', fields.max_completion_tokens);
  const sampling = readSampling(fields);
  const rules = readRules(fields, maxTokens);
  // What follows would take a field that was deferred for a missing one.
  if (deferred) throw deferred;
  const tools = readTools(fields);
  const turns = readTurns(fields.messages, imgTags, tools?.instruction);
  const constraint = readConstraint(fields, tools?.constraint);
  return {
    model: fields.model,
    stream,
    includeUsage: fields.stream_options?.include_usage ?? false,
    turns,
    toolChoice: tools?.choice,
    job: {
      maxTokens,
      stop: fields.stop ?? [],
      sampling,
      // A text that is whole ends.
      rules: { ...rules, ...(constraint && { minTokens: 0, ignoreEos: false }) },
      choices: fields.n ?? 1,
      constraint,
      topLogprobs: fields.logprobs ? (fields.top_logprobs ?? 0) : undefined,
      tokenIds: fields.return_token_ids ?? false,
      specialTokens: fields.skip_special_tokens === false,
      cache: fields.cache ?? true,
    },
  };
}

function readSampling(fields: Values<typeof REQUEST>): Sampling {
  const topK = same('top_k', fields.top_k, 'nvext.top_k', fields.nvext?.top_k);
  const repetition = fields.nvext?.repetition_penalty;
  return {
    temperature: fields.temperature ?? GREEDY.temperature,
    topP: fields.top_p ?? GREEDY.topP,
    topK: Math.max(topK ?? GREEDY.topK, 0),
    minP: fields.min_p ?? GREEDY.minP,
    frequencyPenalty: fields.frequency_penalty ?? GREEDY.frequencyPenalty,
    presencePenalty: fields.presence_penalty ?? GREEDY.presencePenalty,
    repetitionPenalty:
      same('repetition_penalty', fields.repetition_penalty, 'nvext.repetition_penalty', repetition) ??
      GREEDY.repetitionPenalty,
    logitBias: fields.logit_bias ?? GREEDY.logitBias,
    seed: fields.seed,
  };
}

function readRules(fields: Values<typeof REQUEST>, maxTokens = Infinity): TokenRules {
  const minTokens = fields.min_tokens ?? 0;
  if (minTokens > maxTokens) throw mustBe(`at most max_tokens, ${maxTokens}`, minTokens, 'min_tokens');
  return {
    allowed: fields.allowed_token_ids,
    badWords: fields.bad_words ?? [],
    minTokens,
    ignoreEos: same('ignore_eos', fields.ignore_eos, 'nvext.ignore_eos', fields.nvext?.ignore_eos) ?? false,
    stopIds: fields.stop_token_ids ?? [],
    includeStop: fields.include_stop_str_in_output ?? false,
  };
}

/** One value under two names. */
function same<T>(name: string, value: T | undefined, alias: string, other: T | undefined): T | undefined {
  if (value !== undefined && other !== undefined && value !== other) {
    const message = `${name} and ${alias} mean the same, but they differ. Send one of them.`;
    throw new NearsightError('invalid_request', message, { param: alias });
  }
  return value ?? other;
}

function needs(field: string, switchedOnBy: string): NearsightError {
  const message = `${field} has an effect only if ${switchedOnBy} is true. Set that, or remove ${field}.`;
  return new NearsightError('invalid_request', message, { param: field });
}
