import { ERRORS, isNearsightError, NearsightError } from '../src/protocol/errors.ts';
import { openPorts, servePort } from '../src/protocol/port.ts';
import type { LoadPart, LoadRequest, Verdict } from '../src/protocol/calls.ts';
import type { Runtime } from '../src/protocol/runtime-calls.ts';
import type { ChatJob, Part } from '../src/protocol/job.ts';
import { race } from '../src/async/race.ts';
import { type Engine, type EngineKind, engineFor, type OpenOptions, type OpenRequest } from './engines/engine.ts';
import { Queue } from './queue.ts';
import type { ModelFiles, ModelStore } from './storage/store.ts';

interface Opened {
  engine: Engine;
  files: ModelFiles;
}

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
  const knownTypes = engines.flatMap(({ modelTypes }) => modelTypes);
  let loaded: Loaded | undefined;

  /** Ends when the GPU is lost, or when the page cancels it. */
  async function load(request: LoadRequest, emit: (part: LoadPart) => void, signal: AbortSignal): Promise<void> {
    check();
    const { engine, files } = await queue.run(() => open(request, emit, signal), signal);
    const current = { engine, maxWaiting: request.waiting };
    loaded = current;
    emit({ state: 'ready', facts: engine.facts });
    const loss = await race(engine.lost, signal).catch(() => undefined);
    if (loaded === current) loaded = undefined;
    if (loss) throw loss;
    // Queued, because jobs that came before are still answered.
    await queue.run(() => engine.close(), never);
    files.close();
  }

  /** Opens the model; twice if a stored file was damaged, which is deleted and fetched again. */
  async function open(request: LoadRequest, emit: (part: LoadPart) => void, signal: AbortSignal): Promise<Opened> {
    const spec = await store.specOf(request.model, knownTypes, signal);
    const kind = engineFor(spec, engines);
    for (let isFirst = true; ; isFirst = false) {
      const files = await store.use(spec, { allowUnverified: request.allowUnverified, signal });
      try {
        return { engine: await openVerified(kind, { ...request, spec }, { files, emit, signal }), files };
      } catch (error) {
        files.close();
        if (!isFirst || !files.damaged || signal.aborted || isFatal(error)) throw error;
      }
    }
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
      const spec = await store.specOf(model, knownTypes, never);
      const { verdict, files } = await engineFor(spec, engines).probe(spec, device);
      const saveData = isSavingData();
      return { ...verdict, ...(await store.stat(spec, files)), ...(saveData !== undefined && { saveData }) };
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

/** Opens a model; when it is open, its files are verified. */
async function openVerified(kind: EngineKind, request: OpenRequest, options: OpenOptions): Promise<Engine> {
  const { files, signal } = options;
  const engine = await kind.open(request, options).catch(async (error: unknown) => {
    // A damaged file may be the reason. After a failure of the GPU nothing more is known about it.
    if (!signal.aborted && !isFatal(error)) await files.verify(signal);
    throw error;
  });
  try {
    await files.verify(signal);
    return engine;
  } catch (error) {
    await engine.close();
    throw error;
  }
}

function isFatal(error: unknown): boolean {
  return isNearsightError(error) && ERRORS[error.code].fatal === true;
}

/** Only Chromium tells. */
function isSavingData(): boolean | undefined {
  const { connection } = (globalThis.navigator ?? {}) as { connection?: { saveData?: boolean } };
  return connection?.saveData;
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
