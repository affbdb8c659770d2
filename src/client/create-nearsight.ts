import { pageURL } from '../bytes/page-url.ts';
import { allowedUnder } from '../media/load-images.ts';
import { createFetch } from '../fetch/intercept.ts';
import { checkContext } from '../host/check-context.ts';
import { Session } from '../host/session.ts';
import { startEngine } from '../host/start-engine.ts';
import { createStatus, type Status } from '../host/status.ts';
import type { DebugStats, LoadRequest, ModelFacts, Verdict } from '../protocol/calls.ts';
import type { HubModel, ModelSpec } from '../protocol/model-spec.ts';
import { ask } from './ask.ts';
import { idOf } from './check-spec.ts';
import {
  readLoad,
  readOptions,
  type AskOptions,
  type ImageInput,
  type LoadOptions,
  type NearsightOptions,
} from './options.ts';
import { resolveAssets } from './resolve-assets.ts';
import { resolveModel } from './resolve-model.ts';

/** A vision-language model behind `fetch`. Made by {@link createNearsight}; nothing starts before its first use. */
export interface Nearsight {
  /**
   * Use it in place of the global `fetch`, or hand it to the client that you use. Answers `POST …/v1/chat/completions`
   * and `GET …/v1/models` on the intercepted origins; does not rely on `this`.
   */
  readonly fetch: typeof globalThis.fetch;
  /**
   * Yields the answer as it is generated. Breaking out of the loop stops the decode.
   *
   * @param image one image, or several in the order in which the model sees them
   * @throws NearsightError
   */
  ask(image: ImageInput | readonly ImageInput[], question: string, options?: AskOptions): AsyncIterable<string>;
  /** Downloads, checks and opens the model now rather than at the first request. Safe to call again. */
  load(options?: LoadOptions): Promise<ModelFacts>;
  /**
   * Says whether a model can run here, in this page and on this device, without downloading it.
   *
   * @param model another model than this nearsight's own
   * @throws NearsightError, such as `load_failed` if the worker that probes cannot be started
   */
  probe(model?: string | ModelSpec | HubModel): Promise<Verdict>;
  /** The current state: `status.value`, `status.subscribe(listener)`. */
  readonly status: Status;
  /** Drops what is kept of images and chats. */
  forget(): Promise<void>;
  /** Ends the worker and frees its memory. Pending requests reject; the next one loads again. */
  unload(): Promise<void>;
  /** Ends it for good: later calls reject with `disposed`. */
  dispose(): void;
  /** What is alive in the worker: for leak tests and bug reports. */
  debugStats(): Promise<DebugStats>;
}

const NOT_STARTED: DebugStats = { gpuBuffers: 0, ports: 0, waiting: 0, loaded: null };

/**
 * Makes a {@link Nearsight}: no worker, no download and no GPU until its first use. Safe during server-side rendering.
 *
 * @throws NearsightError `invalid_request` naming the option that is misspelt or has a wrong value
 */
export function createNearsight(nearsightOptions: NearsightOptions): Nearsight {
  const options = readOptions(nearsightOptions);
  const { limits, assets } = options;
  const { status, set: setStatus } = createStatus();
  let allowUnverified = false;
  const session = new Session({
    request: async () => loadRequest(options, allowUnverified),
    setStatus,
    startEngine: () => startEngine(resolveAssets(assets).worker),
  });
  const askRules = { ...limits, allowed: allowedUnder(options.policy, options.images?.origins) };

  async function load(loadOptions: LoadOptions = {}): Promise<ModelFacts> {
    const { onProgress, signal, ...rest } = readLoad(loadOptions);
    allowUnverified = rest.allowUnverified ?? allowUnverified;
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
      model: async () => {
        // Asked for first: a remote would answer as well.
        session.disposal.throwIfAborted();
        const { model } = options;
        if (pageURL()) return idOf(resolveModel(model, resolveAssets(assets)));
        // On a server there is no page to resolve addresses against, and a remote may answer.
        return idOf(typeof model === 'string' ? resolveModel(model) : model);
      },
      engine: session,
      disposal: session.disposal,
      checkContext,
    }),
    ask: (...question) => ask({ session, rules: askRules }, ...question),
    load,
    probe: (model = options.model) =>
      session.probe(async () => loadRequest(readOptions({ ...options, model, aliases: {} }))),
    status,
    forget: async () => session.client?.call((runtime) => runtime.forget()),
    unload: async () => session.unload(),
    dispose: () => session.dispose(),
    debugStats: async () => session.client?.call((runtime) => runtime.debugStats()) ?? NOT_STARTED,
  };
}

function loadRequest(
  { model, device, assets, limits }: ReturnType<typeof readOptions>,
  allowUnverified = false,
): LoadRequest {
  // Elsewhere, there may be no address to resolve those of files against.
  checkContext();
  const urls = resolveAssets(assets);
  return {
    model: resolveModel(model, urls),
    allowUnverified,
    device: device ?? 'auto',
    assets: { ort: urls.ort },
    waiting: limits.waiting,
  };
}
