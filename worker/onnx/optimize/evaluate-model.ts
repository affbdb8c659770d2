import type { Ort, Tensor } from '../ort.ts';

/** A tensor in memory. */
export type TensorData = Pick<Tensor, 'type' | 'dims' | 'data'>;

/** Example inputs of a graph, to evaluate it with. */
export interface ExampleInputs {
  /**
   * Inputs by name, for `count` crops of an image; with a count of 0, only names, types and shapes matter.
   *
   * @param fill makes the values of the pixels, between -1 and 1
   */
  example(count: number, fill: (length: number) => Float32Array<ArrayBuffer>): Readonly<Record<string, TensorData>>;
  /** Names of the inputs that are the same for every image. */
  constant: readonly string[];
}

/** Runs a small model on the CPU. */
export type Evaluate = (
  model: Uint8Array,
  feeds: ReadonlyMap<string, TensorData>,
) => Promise<Readonly<Record<string, TensorData>>>;

/**
 * Evaluates with onnxruntime itself, so that all of its operators work. Must not be called while another session is
 * opened or runs.
 *
 * @param provider the CPU's execution provider: `wasm` in browsers
 */
export function evaluateOn(ort: Pick<Ort, 'InferenceSession' | 'Tensor'>, provider: 'wasm' | 'cpu'): Evaluate {
  return async (model, feeds) => {
    // Each model runs a few times at most: onnxruntime's optimizations would take longer than the runs.
    const quiet = { logSeverityLevel: 4 } as const;
    const options = { executionProviders: [provider], graphOptimizationLevel: 'disabled', ...quiet } as const;
    const session = await ort.InferenceSession.create(model, options);
    try {
      const inputs: Record<string, Tensor> = {};
      for (const [name, { type, data, dims }] of feeds) inputs[name] = new ort.Tensor(type, data, dims);
      // What cannot be computed is the pass's to tell, not an error for the console.
      return await session.run(inputs, quiet);
    } finally {
      await session.release();
    }
  };
}
