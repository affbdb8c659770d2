import type { ChatRequest } from '../openai/parse-request.ts';
import { allowedUnder, fetchImages, readImage, type ImageRules } from '../media/load-images.ts';
import { resolveModel } from './resolve-model.ts';
import { checkAsk, readOptions } from './options.ts';
import { Session } from '../host/session.ts';
import { createFetch, type FetchOptions } from '../fetch/intercept.ts';
import { startEngine } from '../host/start-engine.ts';
import { createStatus, type Status, type StatusValue } from '../host/status.ts';
import { NearsightError } from '../protocol/errors.ts';
import { GREEDY, type ChatJob, type Part } from '../protocol/job.ts';
import type { Assets, DebugStats, LoadRequest, ModelFacts, Verdict } from '../protocol/calls.ts';
import type { ModelSpec } from '../protocol/model-spec.ts';

/** What {@link createNearsight} takes. Only `model` is required. */
export interface NearsightOptions extends FetchOptions {
  /** A known id (`smolvlm-256m`), or a spec: `import { glimpse } from 'nearsight/glimpse'`, or your own. */
  model: string | ModelSpec;
  /**
   * Where the model runs. `auto` takes WebGPU on a hardware adapter, else wasm if the spec says `wasm: 'ok'`;
   * a software GPU is used only when `webgpu` is asked for by name.
   * @defaultValue 'auto'
   */
  device?: 'auto' | 'webgpu' | 'wasm';
  /**
   * Origins or URL prefixes that `fetch` answers for; requests elsewhere are passed on untouched.
   * @defaultValue NIM's two servers, `https://integrate.api.nvidia.com` and `https://ai.api.nvidia.com`
   */
  intercept?: readonly (string | URL)[];
  /** The worker's script, for bundlers that do not follow `new Worker(new URL(…, import.meta.url))`. */
  worker?: string | URL;
  /** Where the runtime's own files are, when not beside the worker. */
  assets?: Assets;
  /** Those left out keep their defaults. */
  limits?: Partial<Limits>;
}

/** What a page accepts before it refuses. */
export interface Limits {
  /** Requests that may wait while one runs; one more is answered 429. @defaultValue 16 */
  waiting: number;
  /** Bytes of a request body; a larger one is answered 413. @defaultValue 26_214_400 (25 MiB, as hosted NIM) */
  requestBytes: number;
  /** Bytes of one image's file. @defaultValue 20_971_520 (20 MiB) */
  imageBytes: number;
  /** Width times height of one image, checked before it is decoded. @defaultValue 50_000_000 */
  pixels: number;
  /** Images in one request, over all turns. @defaultValue 16 */
  images: number;
}

/** How to ask; see {@link Nearsight.ask}. */
export interface AskOptions {
  /** Most tokens to generate; absent: as many as the context leaves. */
  maxTokens?: number;
  /** 0 (the default) always takes the likeliest token. */
  temperature?: number;
  /** Aborting it ends the answer with the signal's reason; absent: only leaving the loop does. */
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
  ask(image: Blob | BufferSource | string | URL, question: string, options?: AskOptions): AsyncIterable<string>;
  /** Downloads, checks and opens the model now rather than at the first request. Safe to call again. */
  load(options?: { onProgress?: (status: StatusValue) => void; signal?: AbortSignal }): Promise<ModelFacts>;
  /** Says whether this device can run the model, before anything is downloaded. */
  probe(): Promise<Verdict>;
  /** What it is doing: `status.value`, `status.subscribe(listener)`. */
  readonly status: Status;
  /** Drops what is kept of images and chats. */
  forget(): Promise<void>;
  /** Ends the worker and frees its memory; requests in flight reject, the next one loads again. */
  unload(): Promise<void>;
  /** Ends it for good: later requests, loads and questions are answered with `disposed`. */
  dispose(): void;
  /** What is alive in the worker: for leak tests and bug reports. */
  debugStats(): Promise<DebugStats>;
}

const DEFAULT_LIMITS: Limits = {
  waiting: 16,
  requestBytes: 25 * 1024 * 1024,
  imageBytes: 20 * 1024 * 1024,
  pixels: 50_000_000,
  images: 16,
};

const NIM_ORIGINS = ['https://integrate.api.nvidia.com', 'https://ai.api.nvidia.com'];

/**
 * Makes a {@link Nearsight}: no worker, no download and no GPU until its first use. Safe during server-side rendering.
 *
 * @throws NearsightError `invalid_request` naming the option that is misspelt or cannot be
 */
export function createNearsight(given: NearsightOptions): Nearsight {
  const options = readOptions(given);
  const limits: Limits = { ...DEFAULT_LIMITS, ...options.limits };
  const { status, set: setStatus } = createStatus();
  const session = new Session({
    request: () => loadRequest(options, limits),
    setStatus,
    startEngine: () => startEngine(options.worker),
  });

  /** The parts of an answer to what the client sent; images are fetched while the model loads. */
  async function generate(
    request: ChatRequest,
    signal?: AbortSignal,
    allowed?: ImageRules['allowed'],
  ): Promise<ReadableStream<Part>> {
    const reading = fetchImages(request.turns, { ...limits, allowed }, signal);
    const job = reading.then((turns) => ({ ...request.job, turns, limits: { pixels: limits.pixels } }));
    return session.generate(job, signal);
  }

  async function* ask(...[image, question, how = {}]: Parameters<Nearsight['ask']>) {
    checkAsk(image, question, how);
    const { maxTokens, temperature = GREEDY.temperature, signal } = how;
    const allowed = allowedUnder(options.policy, options.images?.origins);
    const reading = readImage(image, { ...limits, allowed }, signal);
    const job = reading.then((bytes) => askJob(bytes, question, maxTokens, temperature, limits));
    yield* textsOf(await session.generate(job, signal));
  }

  async function load(...[{ onProgress, signal } = {}]: Parameters<Nearsight['load']>): Promise<ModelFacts> {
    const stop = onProgress && status.subscribe(onProgress);
    try {
      return (await session.open(signal)).facts;
    } finally {
      stop?.();
    }
  }

  return {
    fetch: createFetch({
      ...options,
      intercept: options.intercept ?? NIM_ORIGINS,
      model: async () => resolveModel(options.model).id,
      limits,
      generate,
    }),
    ask,
    load,
    probe: () => session.probe(),
    status,
    forget: () => session.forget(),
    unload: async () => session.unload(),
    dispose: () => session.dispose(),
    debugStats: () => session.debugStats(),
  };
}

async function* textsOf(parts: ReadableStream<Part>): AsyncGenerator<string> {
  const reader = parts.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      if (value.type === 'text' && value.text) yield value.text;
    }
  } finally {
    // Breaking out of the loop lands here; after the end this does nothing.
    await reader.cancel();
  }
}

async function loadRequest({ model, device, assets }: NearsightOptions, limits: Limits): Promise<LoadRequest> {
  if (!globalThis.isSecureContext) {
    throw new NearsightError(
      'unsupported_device',
      'nearsight needs a browser page in a secure context (https: or localhost): WebGPU, hashing and locks exist only there.',
    );
  }
  const ort = assets?.ort === undefined ? undefined : new URL(assets.ort, location.href).href;
  return { spec: resolveModel(model), device: device ?? 'auto', assets: { ort }, waiting: limits.waiting };
}

function askJob(
  bytes: Uint8Array<ArrayBuffer>,
  question: string,
  maxTokens: number | undefined,
  temperature: number,
  limits: Limits,
): ChatJob {
  const image = { type: 'image', bytes, detail: 'auto', param: 'image' } as const;
  return {
    turns: [{ role: 'user', parts: [image, { type: 'text', text: question }] }],
    maxTokens,
    stop: [],
    sampling: { ...GREEDY, temperature },
    choices: 1,
    cache: true,
    limits: { pixels: limits.pixels },
  };
}
