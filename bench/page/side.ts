import type { CountedWorker, CounterReport } from '../../tools/counters.mjs';

declare global {
  /** Only where `tools/counters/patch.mjs` runs in the same thread. */
  // oxlint-disable-next-line no-var -- only `var` declares a global
  var counted: { run(command: string, value: number): CounterReport };
}

/** One turn of a chat. An image is given by a number, from which it is generated: each number gives another image. */
export interface Turn {
  role: 'user' | 'assistant';
  text: string;
  image?: number;
  /** Ours only; default: `low`, one crop. */
  detail?: 'low' | 'high';
}

export interface Question {
  turns: Turn[];
  /** The exact length of the answer, the end token is ruled out; 0: as long as it comes. */
  tokens: number;
  /** Ours only: more fields of the request. */
  fields?: Record<string, unknown>;
  /** As `../sampling.mjs` says. */
  sampled?: boolean;
}

/** Times in milliseconds, from the request on. */
export interface Answer {
  askedAt: number;
  firstMs: number;
  totalMs: number;
  promptTokens: number;
  /** How many of them were not read again; absent where a side does not say. */
  cachedTokens?: number;
  /** Ours only: how many tokens it has. */
  tokens?: number;
  text: string;
}

/** What a side runs on, for the head of the table. */
export interface Facts {
  build: 'jspi' | 'asyncify' | 'plain';
  threads: number;
  device: string;
  /** Of each file. */
  dtype: string;
  hardware: string;
  /** Ours only: why this device and dtype, and what is not done on it. */
  reason?: string;
  /** Ours only: when each step of the load was done, in milliseconds since 1970. */
  steps?: number[];
}

/** A runtime that is measured, with its model open. */
export interface Side {
  readonly facts: Facts;
  readonly worker: CountedWorker;
  ask(question: Question): Promise<Answer>;
  /** Ours only. */
  unload?(): void | Promise<void>;
}

/** llama.cpp's files, by their names on the server: the text model, and the vision encoder with its projector. */
export interface GgufFiles {
  text: string;
  mmproj: string;
}

/** How to open a side. */
export interface Opening {
  /** All sides load the same folder, from the benchmark's server. */
  model: { id: string; folder: string; spec: import('nearsight').ModelSpec; endTokens: number[] };
  device: 'webgpu' | 'wasm';
  dtype: string;
  /** Ours only: the folder of onnxruntime's files; default: the package's own. */
  ort?: string;
  /** transformers.js only: `executionProviders` as an object that turns validation off. */
  unvalidated?: boolean;
  /** transformers.js only: its files come from its cache once they were loaded; default: from the server. */
  cached?: boolean;
  /** transformers.js only: wasm threads; absent: its own choice. */
  threads?: number;
  /** transformers.js only: of the embeddings, if they have another than the other graphs. */
  embedDtype?: 'fp16' | 'fp32';
}
