import { servePort } from '../../../src/protocol/port.ts';
import type { ChatJob, Part } from '../../../src/protocol/job.ts';
import type { LoadPart, LoadRequest, ModelFacts } from '../../../src/protocol/calls.ts';
import type { Runtime } from '../../../src/protocol/runtime-calls.ts';
import { ANSWER } from '../job-parts.ts';

export const FACTS: ModelFacts = {
  model: 'fake',
  device: 'wasm',
  dtype: 'q4',
  contextLength: 64,
  engine: 'onnx',
  hardware: '1 thread',
  reason: 'It is the only one.',
  storage: { kind: 'disk' },
};
export const REQUEST = { spec: { id: 'fake' }, device: 'wasm', assets: {}, waiting: 1 } as unknown as LoadRequest;
export const JOB = { turns: [] } as unknown as ChatJob;
/** What a framework's proxy, or a mistake of ours, may leave in an argument. */
export const NOT_CLONEABLE = { notPlain: () => {} };

/** A runtime without a model. `lose` takes the model away after its load. */
export function makeRuntime(changes: Partial<Runtime> = {}): Runtime & { lose: (error: Error) => void } {
  let lose = (_error: Error): void => {};
  return {
    handshake: async () => true,
    load: (_request, port) =>
      void servePort<LoadPart>(port, async (emit) => {
        emit({ state: 'ready', facts: FACTS });
        await new Promise((_resolve, reject) => (lose = reject));
      }),
    generate: (_job, port) =>
      void servePort<Part>(port, async (emit) => {
        for (const part of ANSWER) emit(part);
      }),
    probe: async () => ({ verdict: 'yes', reason: 'It can.' }),
    forget: async () => {},
    debugStats: async () => ({ gpuBuffers: 0, ports: 1, waiting: 0, loaded: 'fake' }),
    lose: (error) => lose(error),
    ...changes,
  };
}
