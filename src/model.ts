import { NearsightError } from './wire/error.ts';
import type { ModelSpec } from './wire/spec.ts';

/** The models that a page can ask for by id; each is data, and fetched when asked for. */
const known: Record<string, () => Promise<ModelSpec>> = {
  'smolvlm-256m': async () => (await import('../models/smolvlm-256m.ts')).smolvlm256m,
};

/**
 * The spec behind an id; a spec is returned as it is.
 *
 * @throws NearsightError `model_not_found`
 */
export async function resolveModel(model: string | ModelSpec): Promise<ModelSpec> {
  if (typeof model !== 'string') return model;
  const find = known[model];
  if (find) return find();
  throw new NearsightError(
    'model_not_found',
    model === 'glimpse'
      ? "glimpse comes by import, so that only pages that use it carry it: import { glimpse } from 'nearsight/glimpse'."
      : `nearsight knows no model '${model}'. Known ids: ${Object.keys(known).join(', ')}; or pass a ModelSpec.`,
  );
}
