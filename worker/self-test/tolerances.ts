/**
 * The largest difference between two computations of one layer's results, relative to their range: far above rounding,
 * far below a wrong kernel.
 *
 * A sum of K products in another order is off by about u √K of its size, with u = 2^-24 or 2^-11: for K = 3,072 by 3e-6
 * or 0.03, and results range over some 8 times their size. Measured with software adapters, on one layer: 4e-7 in
 * float32, 1e-3 (logits) to 6e-3 (features) in float16. GPUs have a less exact `exp` and `tanh`.
 */
export const LAYER_TOLERANCE = { float32: 2e-4, float16: 0.01 };

/** The same for logits of the whole decoder: errors add up over its layers. */
export const DECODER_TOLERANCE = { float32: 2e-4, float16: 0.03 };

/** Log probabilities are sums over the vocabulary, which CPU and GPU add in another order. */
export const LOGPROB_TOLERANCE = 1e-3;

/** Tokens that GPU and CPU sample with all parameters set. */
export const SAMPLES = 2;

/**
 * One sampled token may differ, because it can depend on the last digit of two numbers (about one token in ten thousand
 * differs, and on such a device at every load). Then this many more are sampled, and all must match.
 */
export const SAMPLES_AFTER_TIE = 4;

export type Precision = keyof typeof LAYER_TOLERANCE;
