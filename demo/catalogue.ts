import { smolvlm256m, type ModelSpec } from 'nearsight';

/** The models that can be downloaded, in the order in which they are offered. */
export const catalogue: readonly ModelSpec[] = [smolvlm256m];
