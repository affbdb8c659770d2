import type { ModelSpec } from '../src/protocol/model-spec.ts';
import { smolvlm256m } from './smolvlm-256m.ts';
import { smolvlm2Video256m } from './smolvlm2-256m-video.ts';

export { smolvlm256m, smolvlm2Video256m };

/** The models whose specs come with nearsight, smallest download first. `glimpse` is not among them: its files come along. */
export const catalogue: readonly ModelSpec[] = [smolvlm256m, smolvlm2Video256m];
