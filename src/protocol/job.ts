import type { Device } from './model-spec.ts';

/** One chat request, checked and with its images' bytes in hand: what the runtime answers. */
export interface ChatJob {
  turns: readonly Turn[];
  /** Most tokens to generate per choice; absent: as many as the context leaves. */
  maxTokens?: number | undefined;
  /** Texts that end the answer; they are not part of it. */
  stop: readonly string[];
  sampling: Sampling;
  /** How many answers to give to the one prompt. */
  choices: number;
  /** Report log probabilities: how many alternatives per token, or absent for none at all. */
  topLogprobs?: number | undefined;
  limits: ImageLimits;
  /** False: uses nothing that earlier requests left behind, and leaves nothing behind itself. */
  cache: boolean;
}

export interface Turn {
  role: 'system' | 'user' | 'assistant';
  parts: readonly TurnPart[];
}

export type TurnPart =
  | { type: 'text'; text: string }
  /** `param` names the request field that the image came from, for errors. */
  | { type: 'image'; bytes: Uint8Array<ArrayBuffer>; detail: Detail; param: string };

/** OpenAI's `image_url.detail`: `low` one view, `high` tiles and a whole view, `auto` by the image's size. */
export type Detail = 'low' | 'high' | 'auto';

/** How the next token is drawn. The defaults of the wire are applied before a job is made. */
export interface Sampling {
  /** 0: always the likeliest token (greedy). */
  temperature: number;
  /** Keep the smallest set of tokens whose probabilities reach this sum; 1: all. */
  topP: number;
  /** Keep this many tokens; 0: all. */
  topK: number;
  /** Keep tokens at least this fraction as likely as the likeliest; 0: all. */
  minP: number;
  frequencyPenalty: number;
  presencePenalty: number;
  /** Divides the logit (multiplies a negative one) of each token seen in prompt or answer; 1: off. */
  repetitionPenalty: number;
  /** Added to logits, by token id. */
  logitBias: readonly (readonly [token: number, bias: number])[];
  /** Same seed, same prompt, same text; absent: a fresh one. */
  seed?: number | undefined;
}

/** Greedy, and nothing else asked for: what the wire takes where a request is silent. */
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

export interface ImageLimits {
  /** Width times height, checked before the image is decoded. */
  pixels: number;
}

/** What a generation sends, in order: `start`, any number of `text`, one `finish` per choice, `usage`. */
export type Part =
  /** Admission is over and the prompt has been read: from here on the answer is on its way. */
  | { type: 'start'; promptTokens: number; cachedTokens: number; device: Device }
  /** Text is whole characters only; it can be empty when a token only completes a logprob entry. */
  | { type: 'text'; choice: number; text: string; logprobs?: TokenLogprob[] | undefined }
  | { type: 'finish'; choice: number; reason: 'stop' | 'length' }
  | { type: 'usage'; promptTokens: number; cachedTokens: number; completionTokens: number };

export interface TokenLogprob {
  token: string;
  logprob: number;
  bytes: number[];
  top: { token: string; logprob: number; bytes: number[] }[];
}
