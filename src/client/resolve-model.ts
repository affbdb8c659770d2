import { smolvlm256m } from '../../models/smolvlm-256m.ts';
import { pageURL } from '../bytes/page-url.ts';
import { NearsightError } from '../protocol/errors.ts';
import { missingAsset } from '../protocol/missing-asset.ts';
import type { HubModel, ModelFile, ModelGraph, ModelSpec } from '../protocol/model-spec.ts';
import type { AssetURLs } from './resolve-assets.ts';

/** The models that a page can ask for by id. */
const known: readonly ModelSpec[] = [smolvlm256m];

/**
 * The spec of an id, or a given spec, with absolute file URLs, because the worker has another base URL. Where a file is:
 * in the page's `assets` if the spec's files come with the package, else at its `url`, in the spec's `baseURL`, on the hub.
 *
 * @throws NearsightError `model_not_found`, or `load_failed` for another format, a file without an address, or a revision that
 *   is no commit
 */
export function resolveModel(model: string | ModelSpec, assets?: AssetURLs): ModelSpec;
export function resolveModel(model: string | ModelSpec | HubModel, assets?: AssetURLs): ModelSpec | HubModel;
export function resolveModel(model: string | ModelSpec | HubModel, assets: AssetURLs = {}): ModelSpec | HubModel {
  if (typeof model === 'object' && 'hub' in model) {
    return model.baseURL === undefined ? model : { ...model, baseURL: new URL(model.baseURL, pageURL()).href };
  }
  const spec = typeof model === 'string' ? find(model) : model;
  checkFormat(spec);
  const address = (file: ModelFile): ModelFile => ({ ...file, url: locate(spec, file, assets) });
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
  const message = `Model ${id}: its spec has format ${format}, and this version of nearsight reads format 1.`;
  throw new NearsightError('load_failed', message);
}

function find(id: string): ModelSpec {
  const spec = known.find((one) => one.id === id);
  if (spec) return spec;
  const message =
    id === 'glimpse'
      ? "glimpse is imported, so that only pages that use it download it: import { glimpse } from 'nearsight/glimpse'."
      : `nearsight knows no model '${id}'. Known ids: ${known.map((one) => one.id).join(', ')}; or pass a ModelSpec.`;
  throw new NearsightError('model_not_found', message);
}

function locate(spec: ModelSpec, { path, url }: ModelFile, assets: AssetURLs): string {
  const copied = spec.assets && assets[spec.assets];
  if (copied) return new URL(path, copied).href;
  return new URL(url ?? path, url ? pageURL() : new URL(spec.baseURL ?? hubFolder(spec, path), pageURL())).href;
}

/** The hub's folder of a commit. A branch is refused: it moves, and then the hashes do not match. */
function hubFolder({ id, assets, repository, revision = '' }: ModelSpec, path: string): string {
  if (!repository && assets) throw missingAsset(`${path} of ${id}`, undefined, 'the bundler did not say where it is');
  if (!repository) {
    throw new NearsightError('load_failed', `Model ${id} has no url, baseURL or repository for ${path}.`);
  }
  if (!/^[0-9a-f]{40}$/.test(revision)) {
    const message = `Model ${id}: its revision '${revision}' is not a commit of 40 lower-case hex digits.`;
    throw new NearsightError('load_failed', message);
  }
  return `https://huggingface.co/${repository}/resolve/${revision}/`;
}
