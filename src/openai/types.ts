/**
 * The types of the HTTP format: the honoured fields of the request, and the response. The names are OpenAI's, and values
 * are assignable to the types of the `openai` package. docs/api.md says what each field does.
 */

/** The body of a request: the honoured fields. The harmless ones (`user`, `metadata`, …) are accepted, too. */
export interface ChatCompletionRequest {
  model: string;
  messages: ChatMessage[];
  max_tokens?: number | null;
  max_completion_tokens?: number | null;
  temperature?: number | null;
  top_p?: number | null;
  top_k?: number | null;
  min_p?: number | null;
  seed?: number | null;
  stop?: string | string[] | null;
  include_stop_str_in_output?: boolean | null;
  stop_token_ids?: number[] | null;
  ignore_eos?: boolean | null;
  min_tokens?: number | null;
  allowed_token_ids?: number[] | null;
  bad_words?: string[] | null;
  n?: number | null;
  frequency_penalty?: number | null;
  presence_penalty?: number | null;
  repetition_penalty?: number | null;
  logit_bias?: Record<string, number> | null;
  logprobs?: boolean | null;
  top_logprobs?: number | null;
  return_token_ids?: boolean | null;
  skip_special_tokens?: boolean | null;
  stream?: boolean | null;
  stream_options?: { include_usage?: boolean | null } | null;
  response_format?: ResponseFormat | null;
  guided_json?: JSONSchema | string | null;
  guided_regex?: string | null;
  guided_choice?: string[] | null;
  guided_grammar?: string | null;
  structured_outputs?: StructuredOutputs | null;
  tools?: Tool[] | null;
  tool_choice?: ToolChoice | null;
  parallel_tool_calls?: boolean | null;
  nvext?: NVExt | null;
  cache?: boolean | null;
}

/** A JSON Schema. */
export type JSONSchema = Record<string, unknown> | boolean;

/** What the text of an answer must be, as OpenAI's clients ask for it. */
export type ResponseFormat =
  | { type: 'text' | 'json_object' }
  | {
      type: 'json_schema';
      json_schema: {
        name: string;
        description?: string;
        /** Must be there; optional as in the types of the `openai` package. */
        schema?: Record<string, unknown>;
        strict?: boolean | null;
      };
    };

/** What the text of an answer must be, as vLLM's clients ask for it: one of these. */
export interface StructuredOutputs {
  json?: JSONSchema | string | null;
  regex?: string | null;
  choice?: string[] | null;
  grammar?: string | null;
  json_object?: boolean | null;
}

/** A function that the answer may call. */
export interface Tool {
  type: 'function';
  function: {
    name: string;
    description?: string;
    /** The JSON Schema of its arguments, which are an object. */
    parameters?: Record<string, unknown>;
    strict?: boolean | null;
  };
}

/** Whether tools are called: as the model decides, never, at least one of them, or this one. */
export type ToolChoice = 'auto' | 'none' | 'required' | { type: 'function'; function: { name: string } };

/** A call of a tool. */
export interface ToolCall {
  id: string;
  type: 'function';
  function: {
    name: string;
    /** JSON, valid under the tool's schema, unless `max_tokens` cut it off. */
    arguments: string;
  };
}

/** The extensions of NIM 1.x. */
export interface NVExt {
  top_k?: number | null;
  repetition_penalty?: number | null;
  ignore_eos?: boolean | null;
  guided_json?: JSONSchema | string | null;
  guided_regex?: string | null;
  guided_choice?: string[] | null;
  guided_grammar?: string | null;
}

/** One message of the chat. Images go in a user's. */
export type ChatMessage =
  | { role: 'system' | 'developer'; content: string | TextPart[] }
  | { role: 'user'; content: string | (TextPart | ImagePart)[] }
  | { role: 'assistant'; content?: string | TextPart[] | null; tool_calls?: ToolCall[] }
  /** The result of a call. */
  | { role: 'tool'; content: string | TextPart[]; tool_call_id: string };

/** Text among the parts of a message. */
export interface TextPart {
  type: 'text';
  text: string;
}

/** An image among the parts of a user's message: a `data:`, `blob:` or `https:` URL. */
export interface ImagePart {
  type: 'image_url';
  image_url: { url: string; detail?: 'low' | 'high' | 'auto' };
}

/** The JSON body of an answer. */
export interface ChatCompletion {
  id: string;
  object: 'chat.completion';
  /** Unix time, in seconds. */
  created: number;
  model: string;
  choices: {
    index: number;
    /** `content` is null if the answer is nothing but calls of tools. */
    message: { role: 'assistant'; content: string | null; refusal: null; tool_calls?: ToolCall[] };
    logprobs: ChoiceLogprobs | null;
    finish_reason: FinishReason;
    /** The answer's tokens, if `return_token_ids` is true. */
    token_ids?: number[];
  }[];
  usage: Usage;
  /** The prompt's tokens, if `return_token_ids` is true; an image has one for each row of its features. */
  prompt_token_ids?: number[];
}

/** One event of a streamed answer. */
export interface ChatCompletionChunk {
  id: string;
  object: 'chat.completion.chunk';
  /** Unix time, in seconds. */
  created: number;
  model: string;
  /** Empty in the chunk that carries the usage. */
  choices: {
    index: number;
    delta: { role?: 'assistant'; content?: string | null; refusal?: null; tool_calls?: ToolCallDelta[] };
    logprobs: ChoiceLogprobs | null;
    finish_reason: FinishReason | null;
    /** The tokens sampled since the chunk before, if `return_token_ids` is true. Their text may be in a later chunk. */
    token_ids?: number[];
  }[];
  /** Absent unless `stream_options.include_usage`; then `null` in all chunks but the last. */
  usage?: Usage | null;
  /** In the first chunk of each choice, if `return_token_ids` is true. */
  prompt_token_ids?: number[];
}

/** A piece of a call: first its id and name, then its arguments, piece by piece. */
export interface ToolCallDelta {
  /** Of the call among those of the choice. */
  index: number;
  id?: string;
  type?: 'function';
  function: { name?: string; arguments: string };
}

/**
 * `stop`: the model ended its answer, or at a stop text, or it called the tool that `tool_choice` names. `tool_calls`: it called
 * others. `length`: `max_tokens` or the context was reached first.
 */
export type FinishReason = 'stop' | 'length' | 'tool_calls';

/** Exact counts, in tokens; images count as the tokens that stand for them. */
export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  prompt_tokens_details: { cached_tokens: number };
}

/** The log probabilities of one choice, or of one chunk of it. */
export interface ChoiceLogprobs {
  content: LogprobEntry[];
  refusal: null;
}

/** One token of the answer, and the likeliest in its place. */
export interface LogprobEntry {
  token: string;
  /** Natural logarithm. */
  logprob: number;
  /** The token in UTF-8: a token is not always whole characters. */
  bytes: number[];
  top_logprobs: { token: string; logprob: number; bytes: number[] }[];
}

/** The body of every response that is not a 200, and of the event that ends a broken stream. */
export interface ErrorBody {
  error: {
    message: string;
    /** OpenAI's coarse kind (`invalid_request_error`, `rate_limit_error`, `server_error`, …); `code` is the exact one. */
    type: string;
    /** The path of the field at fault. */
    param: string | null;
    code: string;
  };
}
