import { NearsightError } from '../src/wire/error.ts';
import { openPorts, servePort } from '../src/wire/port.ts';
import type { LoadPart, LoadRequest, Runtime } from '../src/wire/runtime.ts';
import type { ChatJob, Part } from '../src/wire/job.ts';
import type { ModelFile } from '../src/wire/spec.ts';
import { type Model, openModel } from './decode/model.ts';
import { probe } from './gpu/probe.ts';
import { Queue } from './queue.ts';
import { readFile } from './store/store.ts';

interface Loaded {
  model: Model;
  /** Most jobs that may wait. */
  waiting: number;
}

/** The worker's side of the contract: one model, one job at a time. */
export function createRuntime(): Runtime {
  const queue = new Queue();
  let loaded: Loaded | undefined;

  /** Ends when the GPU is lost. A model is unloaded by ending this worker. */
  async function load(request: LoadRequest, emit: (part: LoadPart) => void, signal: AbortSignal): Promise<void> {
    const model = await queue.run(() => open(request, emit, signal), signal);
    loaded = { model, waiting: request.waiting };
    emit({ type: 'ready', facts: model.facts });
    const loss = await model.lost;
    loaded = undefined;
    throw loss;
  }

  async function generate(job: ChatJob, emit: (part: Part) => void, signal: AbortSignal): Promise<void> {
    const current = loaded;
    if (!current) throw new NearsightError('device_lost', 'The model is no longer loaded in this worker.');
    await queue.run(() => current.model.answer(job, emit, signal), signal, current.waiting);
  }

  /** In its turn: the request that runs uses what is to be forgotten, and leaves something behind itself. */
  async function forget(): Promise<void> {
    if (loaded) await queue.run(async () => loaded?.model.forget(), new AbortController().signal);
  }

  return {
    hello: holdLock,
    load: (request, port) => void servePort<LoadPart>(port, (emit, signal) => load(request, emit, signal)),
    generate: (job, port) => void servePort<Part>(port, (emit, signal) => generate(job, emit, signal)),
    probe: ({ spec, device }) => probe(spec, device),
    forget,
    inventory: async () => ({
      gpuBuffers: loaded?.model.gpuBuffers() ?? 0,
      ports: openPorts,
      waiting: queue.waiting,
      loaded: loaded?.model.facts.model ?? null,
    }),
  };
}

/** Fetches what this device needs of the model, counting bytes, and opens it. */
async function open(request: LoadRequest, emit: (part: LoadPart) => void, signal: AbortSignal): Promise<Model> {
  const { spec, device, assets, threads } = request;
  const verdict = await probe(spec, device);
  if (verdict.verdict === 'no') throw new NearsightError('unsupported_device', verdict.reason);
  let totalBytes = verdict.bytes ?? 0;
  let loadedBytes = 0;
  return openModel({
    spec,
    device,
    assets,
    threads,
    read: (file: ModelFile, until: AbortSignal) =>
      readFile(
        file,
        (count) => {
          loadedBytes += count;
          emit({ type: 'download', loadedBytes, totalBytes });
        },
        until,
      ),
    onMore: (bytes) => {
      totalBytes += bytes;
    },
    onStep: (done, of) => emit({ type: 'prepare', done, of }),
    signal,
  });
}

/**
 * Takes a lock for as long as this thread lives. The page waits for the same one, so that even a death without any
 * event (out of memory, terminate) is noticed there.
 */
function holdLock(name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const hold = (): Promise<never> => {
      resolve();
      return new Promise(() => {});
    };
    navigator.locks.request(name, hold).catch(reject);
  });
}
