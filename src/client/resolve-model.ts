import { smolvlm256m } from '../../models/smolvlm-256m.ts';
import { NearsightError } from '../protocol/errors.ts';
import type { ModelFile, ModelGraph, ModelSpec } from '../protocol/model-spec.ts';

/** The models that a page can ask for by id. */
const known: readonly ModelSpec[] = [smolvlm256m];

/**
 * The spec behind an id (or the spec itself), with every file's URL absolute: the worker has another base.
 *
 * @throws NearsightError `model_not_found`, or `load_failed` for another format, a file without an address, or a revision that
 *   is no commit
 */
export function resolveModel(model: string | ModelSpec): ModelSpec {
  const spec = typeof model === 'string' ? find(model) : model;
  checkFormat(spec);
  const address = (file: ModelFile): ModelFile => ({ ...file, url: locate(spec, file) });
  const graph = ({ file, data }: ModelGraph): ModelGraph => ({ file: address(file), data: data.map(address) });
  return {
    ...spec,
    baseURL: undefined,
    files: spec.files.map(address),
    variants: spec.variants.map(({ graphs: { vision, embed, decoder }, ...variant }) => ({
      ...variant,
      graphs: { vision: graph(vision), embed: graph(embed), decoder: graph(decoder) },
    })),
  };
}

function checkFormat({ id, format }: { id: string; format: number }): void {
  if (format === 1) return;
  throw new NearsightError(
    'load_failed',
    `Model ${id}: its spec has format ${format}, and this version of nearsight reads format 1.`,
  );
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

function locate(spec: ModelSpec, { path, url }: ModelFile): string {
  const page = globalThis.location?.href;
  return new URL(url ?? path, url ? page : new URL(spec.baseURL ?? hubFolder(spec, path), page)).href;
}

/** A branch moves under the hashes: from the hub, only a commit is taken. */
function hubFolder({ id, repository, revision = '' }: ModelSpec, path: string): string {
  if (!repository) {
    throw new NearsightError('load_failed', `Model ${id} says no url, baseURL or repository for ${path}.`);
  }
  if (!/^[0-9a-f]{40}$/.test(revision)) {
    throw new NearsightError('load_failed', `Model ${id}: its revision '${revision}' is no commit of 40 hex digits.`);
  }
  return `https://huggingface.co/${repository}/resolve/${revision}/`;
}
