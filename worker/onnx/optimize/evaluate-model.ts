import type { InferenceSession, Ort, Tensor } from '../ort.ts';

/** A tensor in memory. */
export type TensorData = Pick<Tensor, 'type' | 'dims' | 'data'>;

/** What a graph may be given, to see what it makes of it. */
export interface ExampleInputs {
  /**
   * Inputs by name, as for `count` crops of an image; for none, that is names, types and shapes alone.
   *
   * @param fill gives the values of their pixels, between -1 and 1
   */
  example(count: number, fill: (length: number) => Float32Array<ArrayBuffer>): Readonly<Record<string, TensorData>>;
  /** Names of those that are the same for every image. */
  constant: readonly string[];
}

/** Runs a small model on the CPU. */
export type Evaluate = (
  model: Uint8Array,
  feeds: ReadonlyMap<string, TensorData>,
) => Promise<Readonly<Record<string, TensorData>>>;

/**
 * Evaluates with onnxruntime itself: so there is nothing to keep in step with it, and no operator that it knows and we
 * do not. Not while another session is being opened or runs.
 *
 * @param provider the CPU's: `wasm` in browsers
 */
export function evaluateOn(ort: Pick<Ort, 'InferenceSession' | 'Tensor'>, provider: 'wasm' | 'cpu'): Evaluate {
  return async (model, feeds) => {
    // Each model runs a few times at most. To optimise it would cost more than to run it.
    const options: InferenceSession.SessionOptions = {
      executionProviders: [provider],
      graphOptimizationLevel: 'disabled',
    };
    const session = await ort.InferenceSession.create(model, options);
    try {
      const inputs = [...feeds].map(
        ([name, { type, data, dims }]) => [name, new ort.Tensor(type, data, dims)] as const,
      );
      return await session.run(Object.fromEntries(inputs));
    } finally {
      await session.release();
    }
  };
}
