import { race } from '../../../src/async/race.ts';
import type { ModelSpec } from '../../../src/protocol/model-spec.ts';
import type { EngineKind } from '../../../worker/engines/engine.ts';

/** A model that no engine of the package supports, and that has no files. */
export const fakeModel: ModelSpec = {
  format: 1,
  id: 'fake',
  modelType: 'fake',
  baseURL: '/fake/',
  files: [],
  variants: [],
  contextLength: 64,
  wasm: 'ok',
  licence: { spdx: 'CC0-1.0', restricted: false },
};

/** Answers with the last text of the chat, word by word. */
export const fakeEngine: EngineKind = {
  name: 'fake',
  modelTypes: ['fake'],
  probe: async () => ({
    verdict: { verdict: 'yes', device: 'wasm', dtype: 'none', bytes: 0, reason: 'nothing is computed' },
    files: [],
  }),
  open: async ({ spec }, { emit, files }) => {
    emit({ state: 'preparing', done: 1, of: 1 });
    const { id: model, contextLength } = spec;
    return {
      facts: {
        model,
        device: 'wasm',
        dtype: 'none',
        contextLength,
        engine: 'fake',
        hardware: 'none',
        reason: 'nothing is computed',
        storage: files.storage,
      },
      lost: new Promise(() => {}),
      async answer({ turns, choices }, send, signal) {
        const question = turns.at(-1)?.parts.find((part) => part.type === 'text')?.text ?? '';
        const words = question.split(/(?<= )/);
        send({ type: 'start', promptTokens: words.length, cachedTokens: 0, device: 'wasm' });
        for (let choice = 0; choice < choices; choice++) {
          for (const text of words) {
            await race(new Promise((resolve) => setTimeout(resolve)), signal);
            send({ type: 'text', choice, text });
          }
          send({ type: 'finish', choice, reason: 'stop' });
        }
        const completionTokens = choices * words.length;
        send({ type: 'usage', promptTokens: words.length, cachedTokens: 0, completionTokens });
      },
      forget: () => {},
      gpuBuffers: () => 0,
      close: async () => {},
    };
  },
};
