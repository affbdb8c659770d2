import { NearsightError } from '../protocol/errors.ts';
import type { ModelFile, ModelGraph, ModelSpec } from '../protocol/model-spec.ts';
import { checkPath } from './import-source.ts';
import { filesOf } from './records.ts';

/** A larger one is refused: SmolVLM's has 4 kB. */
export const MAX_SPEC_BYTES = 1 << 20;

/** Each start reads them. */
const MAX_CANARY_IDS = 256;

/** More than any model has that could run here. */
const MAX_CONTEXT = 1 << 21;

/**
 * Reads the spec in an archive, which anybody may have written. Its URLs are dropped, so that it cannot make a page fetch
 * from elsewhere.
 *
 * @throws NearsightError `integrity`
 */
export function readSpec(text: string): ModelSpec {
  try {
    // Whatever is not as declared is refused here, or found missing below.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    const spec = JSON.parse(text) as ModelSpec;
    const format: number = spec.format;
    if (format !== 1) throw new Error('its format is not 1');
    for (const name of ['id', 'modelType', 'wasm'] as const) {
      if (typeof spec[name] !== 'string' || spec[name].length > 200) throw new Error(`its ${name} is not a short text`);
    }
    checkNames(spec);
    const { contextLength, variants, canary } = spec;
    if (!Number.isSafeInteger(contextLength) || contextLength < 1 || contextLength > MAX_CONTEXT)
      throw new Error('its contextLength is not a number of tokens');
    if (canary && ![canary.prompt, canary.tokens].every(areIds))
      throw new Error('its canary is not two lists of tokens');
    for (const { dtype, devices } of variants) {
      if (typeof dtype !== 'string' || dtype.length > 40) throw new Error('a dtype is not a short text');
      if (!devices.every((device) => device === 'webgpu' || device === 'wasm')) throw new Error('it has other devices');
    }
    return withoutURLs(spec);
  } catch (cause) {
    throw new NearsightError('integrity', `spec.json is not a spec of a model: ${String(cause)}.`, { cause });
  }
}

/**
 * Refuses what would name a file of the store, and cannot.
 *
 * @throws Error saying what of the spec it is
 */
export function checkNames(spec: ModelSpec): void {
  if (spec.revision !== undefined && !/^[0-9a-f]{40}$/.test(spec.revision))
    throw new Error('its revision is no commit of 40 lower-case hex digits');
  for (const file of filesOf(spec)) check(file);
}

/** The spec without the addresses of its files: what a model is, and not where it came from. */
export function withoutURLs(spec: ModelSpec): ModelSpec {
  const graph = ({ file, data }: ModelGraph): ModelGraph => ({ file: local(file), data: data.map(local) });
  const variants = spec.variants.map((variant) => {
    const { vision, embed, decoder } = variant.graphs;
    return { ...variant, graphs: { vision: graph(vision), embed: graph(embed), decoder: graph(decoder) } };
  });
  return { ...spec, baseURL: undefined, assets: undefined, files: spec.files.map(local), variants };
}

function areIds(ids: readonly number[]): boolean {
  const isId = (id: number): boolean => Number.isSafeInteger(id) && id >= 0;
  return ids.length > 0 && ids.length <= MAX_CANARY_IDS && ids.every(isId);
}

function check({ path, bytes, sha256 }: ModelFile): void {
  checkPath(path);
  if (!Number.isSafeInteger(bytes) || bytes < 0) throw new Error(`${path} has ${bytes} bytes`);
  if (!/^[0-9a-f]{64}$/.test(sha256)) throw new Error(`${path} has no sha256 of 64 lower-case hex digits`);
}

function local({ path, bytes, sha256 }: ModelFile): ModelFile {
  return { path, bytes, sha256 };
}
