import { smolvlm256m } from '../models/smolvlm-256m.ts';
import { NearsightError } from './wire/error.ts';
import type { ModelFile, ModelSpec } from './wire/spec.ts';

/** The models that a page can ask for by id. */
const known: readonly ModelSpec[] = [smolvlm256m];

/**
 * The spec behind an id (or the spec itself), with every file's URL absolute: the worker has another base, and `URL`
 * objects cannot cross threads.
 *
 * @throws NearsightError `model_not_found`, or `load_failed` for a file without an address
 */
export function resolveModel(model: string | ModelSpec): ModelSpec {
  const spec = typeof model === 'string' ? find(model) : model;
  const address = (file: ModelFile): ModelFile => ({ ...file, url: locate(spec, file) });
  return {
    ...spec,
    baseURL: undefined,
    files: spec.files.map(address),
    variants: spec.variants.map((variant) => ({
      ...variant,
      vision: address(variant.vision),
      embed: address(variant.embed),
      decoder: address(variant.decoder),
    })),
  };
}

function find(id: string): ModelSpec {
  const spec = known.find((each) => each.id === id);
  if (spec) return spec;
  throw new NearsightError(
    'model_not_found',
    id === 'glimpse'
      ? "glimpse comes by import, so that only pages that use it carry it: import { glimpse } from 'nearsight/glimpse'."
      : `nearsight knows no model '${id}'. Known ids: ${known.map((each) => each.id).join(', ')}; or pass a ModelSpec.`,
  );
}

function locate({ id, baseURL }: ModelSpec, { path, url }: ModelFile): string {
  const page = globalThis.location?.href;
  if (url !== undefined) return new URL(url, page).href;
  if (baseURL !== undefined) return new URL(path, new URL(baseURL, page)).href;
  throw new NearsightError('load_failed', `Model ${id} says neither baseURL nor a url for ${path}.`);
}
