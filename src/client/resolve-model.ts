import { smolvlm256m } from '../../models/smolvlm-256m.ts';
import { NearsightError } from '../protocol/errors.ts';
import type { ModelFile, ModelGraph, ModelSpec } from '../protocol/model-spec.ts';

/** The models that a page can ask for by id. */
const known: readonly ModelSpec[] = [smolvlm256m];

/**
 * The spec of an id, or a given spec, with absolute file URLs, because the worker has another base URL.
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
