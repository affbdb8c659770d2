import type { CountedWorker, Told } from '../../tools/counters.mjs';

declare global {
  /** Where `tools/counters/patch.mjs` runs in the same thread. */
  // oxlint-disable-next-line no-var -- only `var` declares a global
  var counted: { obey(order: string, value: number): Told };
}

/** One turn of a chat. Images are named by a number, from which each is drawn: no two numbers look the same. */
export interface Turn {
  role: 'user' | 'assistant';
  text: string;
  image?: number;
}

export interface Question {
  turns: Turn[];
  /** Exactly so many tokens are answered with: the end token is ruled out. */
  tokens: number;
  /** As `../sampling.mjs` says. */
  sampled?: boolean;
}

/** Times from asking, in milliseconds. */
export interface Answer {
  askedAt: number;
  firstMs: number;
  totalMs: number;
  promptTokens: number;
  text: string;
}

/** What a side runs on, for the table's head. */
export interface Facts {
  build: 'jspi' | 'asyncify' | 'plain';
  threads: number;
  device: string;
  /** Of each file. */
  dtype: string;
  hardware: string;
}

/** A runtime under measurement, its model open. */
export interface Side {
  readonly facts: Facts;
  readonly worker: CountedWorker;
  ask(question: Question): Promise<Answer>;
}

/** How to open one. */
export interface Opening {
  /** Both are given the same folder, on the bench's own server. */
  model: { id: string; folder: string; spec: import('nearsight').ModelSpec; endTokens: number[] };
  device: 'webgpu' | 'wasm';
  dtype: string;
  /** transformers.js only: `executionProviders` as an object that turns validation off. */
  unvalidated?: boolean;
  /** transformers.js only: wasm threads; absent: its own choice. */
  threads?: number;
}
