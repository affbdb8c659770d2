import { NearsightError } from '../src/protocol/errors.ts';
import { openPorts, servePort } from '../src/protocol/port.ts';
import type { LoadPart, LoadRequest, Runtime } from '../src/protocol/calls.ts';
import type { ChatJob, Part } from '../src/protocol/job.ts';
import { type Engine, openEngine } from './engines/onnx/onnx-engine.ts';
import { race } from '../src/async/race.ts';
import { probe } from './engines/onnx/select-device.ts';
import { Queue } from './queue.ts';
import { readFile } from './storage/http-store.ts';

interface Loaded {
  model: Engine;
  /** Most jobs that may wait. */
  waiting: number;
}

const never = new AbortController().signal;

/**
 * The worker's side of the contract: one model, one job at a time.
 *
 * @param open opens a model; tests pass one that needs no files
 */
export function createRuntime(open: typeof openEngine = openEngine): Runtime {
  const queue = new Queue();
  let loaded: Loaded | undefined;

  /** Ends when the GPU is lost, or when the page cancels it. */
  async function load(request: LoadRequest, emit: (part: LoadPart) => void, signal: AbortSignal): Promise<void> {
    const model = await queue.run(() => open({ ...request, read: readFile, emit, signal }), signal);
    const mine = { model, waiting: request.waiting };
    loaded = mine;
    emit({ type: 'ready', facts: model.facts });
    const loss = await race(model.lost, signal).catch(() => undefined);
    if (loaded === mine) loaded = undefined;
    if (loss) throw loss;
    // In its turn: jobs that came before are still answered.
    await queue.run(() => model.close(), never);
  }

  async function generate(job: ChatJob, emit: (part: Part) => void, signal: AbortSignal): Promise<void> {
    const current = loaded;
    if (!current) throw new NearsightError('device_lost', 'The model is no longer loaded in this worker.');
    await queue.run(() => current.model.answer(job, emit, signal), signal, current.waiting);
  }

  /** In its turn: the request that runs uses what is to be forgotten, and leaves something behind itself. */
  async function forget(): Promise<void> {
    if (loaded) await queue.run(async () => loaded?.model.forget(), never);
  }

  return {
    handshake: holdLock,
    load: (request, port) => void servePort<LoadPart>(port, (emit, signal) => load(request, emit, signal)),
    generate: (job, port) => void servePort<Part>(port, (emit, signal) => generate(job, emit, signal)),
    probe: ({ spec, device }) => probe(spec, device),
    forget,
    debugStats: async () => ({
      gpuBuffers: loaded?.model.gpuBuffers() ?? 0,
      ports: openPorts,
      waiting: queue.waiting,
      loaded: loaded?.model.facts.model ?? null,
    }),
  };
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
