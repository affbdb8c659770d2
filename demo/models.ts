import {
  createNearsight,
  type DebugStats,
  type ModelSpec,
  type Nearsight,
  type NearsightOptions,
  type StatusValue,
  type Verdict,
} from 'nearsight';
import { failureOf } from './failure.ts';
import { type Offer, rememberOffer } from './offers.ts';
import { isStored } from './status-text.ts';
import { deleteModel, importModel } from './store.ts';

/** The model in use and its state, and what is known about the others. */
export class Models {
  readonly #options: Omit<NearsightOptions, 'model'>;
  /** Loads wait for it, so that the service worker sees what they fetch. */
  readonly #offlineReady: Promise<void>;
  readonly #listeners = new Set<() => void>();
  readonly #verdicts = new Map<Offer, Verdict>();
  #offer: Offer;
  #nearsight: Nearsight;
  /** Stops the load under way. */
  #loading: { abort: AbortController; ended: Promise<void> } | undefined;
  #unsubscribe: () => void;
  /** How long the model in use took to be ready, if it was stored before. */
  #startMs: number | undefined;

  constructor(offer: Offer, options: Omit<NearsightOptions, 'model'>, offlineReady: Promise<void>) {
    this.#options = options;
    this.#offlineReady = offlineReady;
    this.#offer = offer;
    this.#nearsight = this.#make();
    this.#unsubscribe = this.#watch();
  }

  /** The model in use. */
  get offer(): Offer {
    return this.#offer;
  }

  get status(): StatusValue {
    return this.#nearsight.status.value;
  }

  /** Whether a load was asked for that has not ended; its first state may be a while to come. */
  get loading(): boolean {
    return this.#loading !== undefined;
  }

  /** How long the model in use took to be ready, from the store; undefined where it was downloaded, or that is not known. */
  get startMs(): number | undefined {
    return this.#startMs;
  }

  debugStats(): Promise<DebugStats> {
    return this.#nearsight.debugStats();
  }

  get fetch(): typeof globalThis.fetch {
    return this.#nearsight.fetch;
  }

  /** What this device can do with a model, and how much of it is stored; undefined until it is known. */
  verdictOf(offer: Offer): Verdict | undefined {
    return this.#verdicts.get(offer);
  }

  /** Calls back at once, and when the model in use, its state or a verdict changes. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    listener();
    return () => void this.#listeners.delete(listener);
  }

  /** Makes a model the one in use, and loads it. */
  use(offer: Offer): void {
    if (offer !== this.#offer) {
      this.pause();
      this.#unsubscribe();
      this.#nearsight.dispose();
      this.#offer = offer;
      this.#nearsight = this.#make();
      this.#unsubscribe = this.#watch();
      rememberOffer(offer);
    }
    void this.load();
  }

  /** Resolves when the load, or the one under way, has ended, however it did: the status says how. */
  load(): Promise<void> {
    if (this.status.state === 'ready') return Promise.resolve();
    if (this.#loading) return this.#loading.ended;
    const abort = new AbortController();
    const loading = { abort, ended: this.#load(abort.signal) };
    this.#loading = loading;
    this.#changed();
    const end = (): void => {
      if (this.#loading !== loading) return;
      this.#loading = undefined;
      this.#changed();
    };
    return (loading.ended = loading.ended.finally(end));
  }

  /** Stops the load under way. What is downloaded stays, and the next load goes on from there. */
  pause(): void {
    this.#loading?.abort.abort();
    this.#loading = undefined;
    this.#changed();
  }

  /** Asks again what this device can do with a model, and how much of it is stored. */
  async refresh(offer: Offer): Promise<void> {
    const nearsight = this.#nearsight;
    const verdict = await nearsight
      .probe(offer.model)
      .catch((error: unknown): Verdict => ({ verdict: 'no', reason: failureOf(error).detail }));
    // Another model was chosen meanwhile, which ended the probe.
    if (nearsight !== this.#nearsight) return this.refresh(offer);
    this.#verdicts.set(offer, verdict);
    this.#changed();
  }

  /** Deletes the files of a model. */
  async remove(offer: Offer): Promise<void> {
    if (offer === this.#offer) {
      this.pause();
      await this.#nearsight.unload();
    }
    await deleteModel(offer.id);
    await this.refresh(offer);
  }

  /** Stores the files of a model from a folder of the visitor's. Rejects if they are not those of its spec. */
  async import(offer: Offer, spec: ModelSpec, files: readonly File[], onProgress: (n: number) => void): Promise<void> {
    try {
      await importModel(spec, files, onProgress);
    } finally {
      await this.refresh(offer);
    }
  }

  async #load(signal: AbortSignal): Promise<void> {
    const [offer, nearsight] = [this.#offer, this.#nearsight];
    const stored = isStored(this.#verdicts.get(offer));
    this.#startMs = undefined;
    try {
      await this.#offlineReady;
      const started = performance.now();
      await nearsight.load({ signal });
      if (stored && nearsight === this.#nearsight) this.#startMs = performance.now() - started;
    } catch {
      // The status has the error.
    }
    // More of it is stored now.
    void this.refresh(offer);
  }

  #make(): Nearsight {
    return createNearsight({ ...this.#options, model: this.#offer.model });
  }

  #watch(): () => void {
    return this.#nearsight.status.subscribe(() => this.#changed());
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}
