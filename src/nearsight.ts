import type { ModelSpec } from './wire/spec.ts';
import type { Assets, ModelFacts, Verdict } from './wire/runtime.ts';
import type { StatusValue } from './status.ts';

/** What {@link createNearsight} takes. Only `model` is required. */
export interface NearsightOptions {
  /** A known id (`smolvlm-256m`), or a spec: `import { glimpse } from 'nearsight/glimpse'`, or your own. */
  model: string | ModelSpec;
  /**
   * Where the model runs. `auto` takes WebGPU on a hardware adapter, else wasm if the spec calls the model bearable
   * there; a software GPU is used only when `webgpu` is asked for by name.
   * @defaultValue 'auto'
   */
  device?: 'auto' | 'webgpu' | 'wasm';
  /**
   * Origins or URL prefixes that `fetch` answers for; requests elsewhere are passed on untouched.
   * @defaultValue NIM's two servers, `https://integrate.api.nvidia.com` and `https://ai.api.nvidia.com`
   */
  owns?: readonly (string | URL)[];
  /**
   * What `fetch` passes other requests to.
   * @defaultValue the global `fetch`, looked up at each call
   */
  fetch?: typeof globalThis.fetch;
  /** The worker's script, for bundlers that do not follow `new Worker(new URL(…, import.meta.url))`. */
  worker?: string | URL;
  /** Where the runtime's own files are, when not beside the worker. */
  assets?: Assets;
  limits?: Partial<Limits>;
}

export interface Limits {
  /** Requests that may wait while one runs; one more is answered 429. @defaultValue 16 */
  waiting: number;
  /** Bytes of a request body; a larger one is answered 413. @defaultValue 26_214_400 (25 MiB, as hosted NIM) */
  requestBytes: number;
  /** Bytes of one picture's file. @defaultValue 20_971_520 (20 MiB) */
  pictureBytes: number;
  /** Width times height of one picture, checked before it is decoded. @defaultValue 50_000_000 */
  pixels: number;
  /** Pictures in one request, over all turns. @defaultValue 16 */
  pictures: number;
}

/** How to ask; see {@link Nearsight.ask}. */
export interface AskOptions {
  /** Most tokens to generate; absent: as many as the context leaves. */
  maxTokens?: number;
  /** 0 (the default) always takes the likeliest token. */
  temperature?: number;
  signal?: AbortSignal;
}

/** A vision-language model behind `fetch`. Made by {@link createNearsight}; nothing starts before its first use. */
export interface Nearsight {
  /**
   * Stands in for `fetch`: hand it to the client you use. Answers `POST …/v1/chat/completions` and
   * `GET …/v1/models` on the origins it owns; does not rely on `this`.
   */
  readonly fetch: typeof globalThis.fetch;
  /** Yields the answer as it comes. Breaking out of the loop stops the decode. @throws NearsightError */
  ask(picture: Blob | BufferSource | string | URL, question: string, options?: AskOptions): AsyncIterable<string>;
  /** Downloads, checks and opens the model now rather than at the first request. Safe to call again. */
  load(options?: { onProgress?: (status: StatusValue) => void; signal?: AbortSignal }): Promise<ModelFacts>;
  /** Says whether this device can run the model, before anything is downloaded. */
  probe(): Promise<Verdict>;
  /** What it is doing: `status.value`, `status.subscribe(listener)`. */
  readonly status: { readonly value: StatusValue; subscribe(listener: (value: StatusValue) => void): () => void };
  /** Drops what is kept of pictures and chats. */
  forget(): Promise<void>;
  /** Ends the worker and frees its memory; requests in flight reject, the next one loads again. */
  unload(): Promise<void>;
  /** Ends it for good: every later call rejects with `disposed`. */
  dispose(): void;
}
