import type { Device } from './model-spec.ts';

/** One chat request, checked and with the bytes of its images: what the runtime answers. */
export interface ChatJob {
  turns: readonly Turn[];
  /** How many tokens may be generated per choice; absent: as many as fit in the context. */
  maxTokens?: number | undefined;
  /** Texts that end the answer; they are not part of it, unless `rules.includeStop` is set. */
  stop: readonly string[];
  sampling: Sampling;
  /** Absent: none. */
  rules?: TokenRules | undefined;
  /** True: the parts carry token ids. */
  tokenIds?: boolean | undefined;
  /** True: the text has the names of special tokens, which are left out otherwise. */
  specialTokens?: boolean | undefined;
  /** How many answers to the prompt. */
  choices: number;
  /** How many alternatives to report per token, with log probabilities; absent: no log probabilities. */
  topLogprobs?: number | undefined;
  /** What the text of each answer must be; absent: any text. */
  constraint?: TextConstraint | undefined;
  limits: ImageLimits;
  /** False: uses no cache entries of earlier requests, and leaves none. */
  cache: boolean;
}

/** What a whole text must be. `param` names the request field that asks for it, for errors. */
export type TextConstraint = { param: string } & (
  | { type: 'json'; schema: unknown }
  /** A regular expression that matches the whole text. */
  | { type: 'regex'; pattern: string }
  /** One of these texts. */
  | { type: 'choice'; texts: readonly string[] }
  /** A grammar in EBNF as xgrammar reads it; its first rule is `root`. */
  | { type: 'grammar'; ebnf: string }
  /**
   * Calls of tools, written as `tool-call.ts` has it; unless they are required, any text without a call may come before, or
   * instead. Not `parallel`: one call. `otherwise`: without a call the text is JSON, and nothing comes before calls.
   */
  | {
      type: 'tools';
      tools: readonly CallableTool[];
      required: boolean;
      parallel: boolean;
      otherwise?: NamedSchema | undefined;
    }
);

/** A JSON Schema, and the request field that it is in, for errors. */
export interface NamedSchema {
  schema: unknown;
  param: string;
}

/** A tool that an answer may call, with the schema of its arguments. */
export interface CallableTool extends NamedSchema {
  name: string;
}

export interface Turn {
  role: 'system' | 'user' | 'assistant';
  parts: readonly TurnPart[];
}

export type TurnPart =
  | { type: 'text'; text: string }
  | ToolInstruction
  /** `param` names the request field that the image came from, for errors. */
  | { type: 'image'; bytes: Uint8Array<ArrayBuffer>; detail: Detail; param: string };

/** What tells the model about its tools: the text; or the tools, as OpenAI has them, to a chat template that knows tools. */
export interface ToolInstruction {
  type: 'tools';
  text: string;
  /** Each as JSON. */
  tools: readonly string[];
}

/**
 * OpenAI's `image_url.detail`: `low` the whole image only, `high` tiles and the whole image, `auto` by the image's
 * size.
 */
export type Detail = 'low' | 'high' | 'auto';

/** How the next token is sampled. A job has all defaults of the HTTP format applied. */
export interface Sampling {
  /** 0: always the likeliest token (greedy). */
  temperature: number;
  /** Keep the smallest set of tokens whose probabilities reach this sum; 1: all. */
  topP: number;
  /** Keep this many tokens; 0: all. */
  topK: number;
  /** Keep tokens at least this fraction as likely as the likeliest one; 0: all. */
  minP: number;
  frequencyPenalty: number;
  presencePenalty: number;
  /** Divides the logit (multiplies a negative one) of each token seen in prompt or answer; 1: off. */
  repetitionPenalty: number;
  /** Added to logits, by token id. */
  logitBias: readonly (readonly [token: number, bias: number])[];
  /** The same seed and prompt give the same text; absent: a random seed. */
  seed?: number | undefined;
}

/** Greedy sampling without penalties: the defaults of the HTTP format. */
export const GREEDY: Sampling = {
  temperature: 0,
  topP: 1,
  topK: 0,
  minP: 0,
  frequencyPenalty: 0,
  presencePenalty: 0,
  repetitionPenalty: 1,
  logitBias: [],
};

/** Which tokens an answer may have, and which of them end it: rules of vLLM, with its meaning. */
export interface TokenRules {
  /** The only tokens that may be generated, an end token among them only if it is listed; absent: all. */
  allowed?: readonly number[] | undefined;
  /** Texts that may not be generated. */
  badWords?: readonly string[] | undefined;
  /** After fewer tokens the answer does not end: end tokens and `stopIds` are not generated, stop texts do not count. */
  minTokens?: number | undefined;
  /** True: the model's end tokens may be generated, and do not end the answer. */
  ignoreEos?: boolean | undefined;
  /** Tokens that end the answer, besides the model's end tokens. */
  stopIds?: readonly number[] | undefined;
  /** True: the stop text, or the text of the token, that ends the answer is part of it. */
  includeStop?: boolean | undefined;
}

export interface ImageLimits {
  /** Width times height, checked before the image is decoded. */
  pixels: number;
}

/** What a generation sends, in order: `start`, any number of `text`, one `finish` per choice, `usage`. */
export type Part =
  /** The request is admitted and prefill is done: tokens follow. */
  | { type: 'start'; promptTokens: number; cachedTokens: number; device: Device; promptIds?: number[] | undefined }
  /**
   * Whole characters only. The text is empty when a token only adds a logprob entry, or its id: `ids` are the tokens as they
   * are sampled, while their text may come later, or never.
   */
  | { type: 'text'; choice: number; text: string; logprobs?: TokenLogprob[] | undefined; ids?: number[] | undefined }
  | { type: 'finish'; choice: number; reason: 'stop' | 'length' }
  | { type: 'usage'; promptTokens: number; cachedTokens: number; completionTokens: number };

export interface TokenLogprob {
  token: string;
  logprob: number;
  bytes: number[];
  top: { token: string; logprob: number; bytes: number[] }[];
}
