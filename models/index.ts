import type { ModelSpec } from '../src/protocol/model-spec.ts';
import { lfm25Vl450m } from './lfm2.5-vl-450m.ts';
import { smolvlm256m } from './smolvlm-256m.ts';
import { smolvlm2Video256m } from './smolvlm2-256m-video.ts';

export { knownModels, type KnownModel } from './known-models.ts';
export { lfm25Vl450m, smolvlm256m, smolvlm2Video256m };

/** The models whose specs come with nearsight, smallest download first. `glimpse` is not among them: its files come along. */
export const catalogue: readonly ModelSpec[] = [smolvlm256m, smolvlm2Video256m, lfm25Vl450m];
