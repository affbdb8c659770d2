import { isNearsightError, NearsightError } from '../src/protocol/errors.ts';
import { openPorts, servePort } from '../src/protocol/port.ts';
import type { LoadPart, LoadRequest, Verdict } from '../src/protocol/calls.ts';
import type { Runtime } from '../src/protocol/runtime-calls.ts';
import type { ChatJob, Part } from '../src/protocol/job.ts';
import { race } from '../src/async/race.ts';
import { type Engine, type EngineKind, engineFor, modelTypesOf } from './engines/engine.ts';
import { openModel } from './open-model.ts';
import { Queue } from './queue.ts';
import type { ModelStore } from './storage/store.ts';

interface Loaded {
  engine: Engine;
  /** How many jobs may wait. */
  maxWaiting: number;
}

const never = new AbortController().signal;

/**
 * The worker's side of the contract: one model, one job at a time.
 *
 * @param engines in order of preference: the first that supports a model opens it
 * @param store where the files of models come from
 * @param check throws where no model can run; called before each probe and load
 */
export function createRuntime(
  engines: readonly EngineKind[],
  store: ModelStore,
  check: () => void = () => {},
): Runtime {
  const queue = new Queue();
  let loaded: Loaded | undefined;

  /** Ends when the GPU is lost, or when the page cancels it. */
  async function load(request: LoadRequest, emit: (part: LoadPart) => void, signal: AbortSignal): Promise<void> {
    check();
    const opened = await queue.run(() => openModel(store, engines, request, { emit, signal }), signal);
    const { engine, facts, files } = opened;
    const current = { engine, maxWaiting: request.waiting };
    loaded = current;
    emit({ state: 'ready', facts });
    const loss = await race(engine.lost, signal).catch(() => undefined);
    if (loaded === current) loaded = undefined;
    if (loss) throw loss;
    // Queued, because jobs that came before are still answered.
    await queue.run(() => engine.close(), never);
    files.close();
  }

  async function generate(job: ChatJob, emit: (part: Part) => void, signal: AbortSignal): Promise<void> {
    const current = loaded;
    if (!current)
      throw new NearsightError('device_lost', 'The model is no longer loaded. The next request loads it again.');
    await queue.run(() => current.engine.answer(job, emit, signal), signal, current.maxWaiting);
  }

  async function probe({ model, device }: LoadRequest): Promise<Verdict> {
    try {
      check();
      const spec = await store.specOf(model, modelTypesOf(engines), never);
      const { verdict, files } = await engineFor(spec, engines).probe(spec, device);
      return { ...verdict, licence: spec.licence, ...(await store.stat(spec, files)), ...savingData() };
    } catch (error) {
      if (isNearsightError(error)) return { verdict: 'no', reason: error.message };
      throw error;
    }
  }

  /** Queued, because the running request reads the caches and adds to them. */
  async function forget(): Promise<void> {
    if (loaded) await queue.run(async () => loaded?.engine.forget(), never);
  }

  return {
    handshake: holdLock,
    load: (request, port) => void servePort<LoadPart>(port, (emit, signal) => load(request, emit, signal)),
    generate: (job, port) => void servePort<Part>(port, (emit, signal) => generate(job, emit, signal)),
    probe,
    forget,
    debugStats: async () => ({
      gpuBuffers: loaded?.engine.gpuBuffers() ?? 0,
      ports: openPorts,
      waiting: queue.waiting,
      loaded: loaded?.engine.facts.model ?? null,
    }),
  };
}

/** Only Chromium tells. */
function savingData(): Pick<Verdict, 'saveData'> {
  const { connection }: { connection?: { saveData?: boolean } } = Object(globalThis.navigator);
  return connection?.saveData === undefined ? {} : { saveData: connection.saveData };
}

/**
 * Takes a lock for as long as this thread lives. The page waits for the same lock, so it notices even a death without any
 * event (out of memory, terminate).
 *
 * @returns whether there is one: browsers deny locks where the visitor blocks site data
 */
function holdLock(name: string): Promise<boolean> {
  return new Promise((resolve) => {
    const hold = (): Promise<never> => {
      resolve(true);
      return new Promise(() => {});
    };
    const request = async (): Promise<unknown> => navigator.locks.request(name, hold);
    request().catch(() => resolve(false));
  });
}
