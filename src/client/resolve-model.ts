import { smolvlm256m } from '../../models/smolvlm-256m.ts';
import { NearsightError } from '../protocol/errors.ts';
import type { ModelFile, ModelSpec } from '../protocol/model-spec.ts';

/** The models that a page can ask for by id. */
const known: readonly ModelSpec[] = [smolvlm256m];

/**
 * The spec of an id, or a given spec, with absolute file URLs, because the worker has another base URL.
 *
 * @throws NearsightError `model_not_found`, or `load_failed` for a file without an address, or a revision that is not a
 * commit
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
  const spec = known.find((one) => one.id === id);
  if (spec) return spec;
  throw new NearsightError(
    'model_not_found',
    id === 'glimpse'
      ? "glimpse is imported, so that only pages that use it download it: import { glimpse } from 'nearsight/glimpse'."
      : `nearsight knows no model '${id}'. Known ids: ${known.map((one) => one.id).join(', ')}; or pass a ModelSpec.`,
  );
}

function locate(spec: ModelSpec, { path, url }: ModelFile): string {
  const page = globalThis.location?.href;
  return new URL(url ?? path, url ? page : new URL(spec.baseURL ?? hubFolder(spec, path), page)).href;
}

/** The hub's folder of a commit. A branch is refused: it moves, and then the hashes do not match. */
function hubFolder({ id, repository, revision = '' }: ModelSpec, path: string): string {
  if (!repository) {
    throw new NearsightError('load_failed', `Model ${id} has no url, baseURL or repository for ${path}.`);
  }
  if (!/^[0-9a-f]{40}$/.test(revision)) {
    throw new NearsightError(
      'load_failed',
      `Model ${id}: its revision '${revision}' is not a commit of 40 lower-case hex digits.`,
    );
  }
  return `https://huggingface.co/${repository}/resolve/${revision}/`;
}
