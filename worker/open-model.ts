import { ERRORS, isNearsightError } from '../src/protocol/errors.ts';
import type { LoadRequest, ModelFacts } from '../src/protocol/calls.ts';
import type { ModelSpec } from '../src/protocol/model-spec.ts';
import {
  type Engine,
  type EngineKind,
  engineFor,
  modelTypesOf,
  type OpenOptions,
  type OpenRequest,
} from './engines/engine.ts';
import type { ModelFiles, ModelStore } from './storage/store.ts';

/** A model that is open, and its files, which are to be closed with it. */
export interface OpenedModel {
  engine: Engine;
  facts: ModelFacts;
  files: ModelFiles;
}

/** Opens a model with the first engine that supports it; twice if a stored file was damaged, which is then fetched again. */
export async function openModel(
  store: ModelStore,
  engines: readonly EngineKind[],
  request: LoadRequest,
  options: Omit<OpenOptions, 'files'>,
): Promise<OpenedModel> {
  const { signal } = options;
  const spec = await store.specOf(request.model, modelTypesOf(engines), signal);
  const kind = engineFor(spec, engines);
  const use = { isGiven: !('hub' in request.model), allowUnverified: request.allowUnverified };
  await kind.start?.({ ...request, spec });
  for (let isFirst = true; ; isFirst = false) {
    const files = await store.use(spec, { ...use, signal });
    try {
      const engine = await openVerified(kind, { ...request, spec }, { ...options, files });
      const found = use.isGiven ? '' : foundOnHub(spec, kind);
      const { licence } = spec;
      return { engine, facts: { ...engine.facts, reason: engine.facts.reason + found, licence }, files };
    } catch (error) {
      files.close();
      if (!isFirst || !files.damaged || signal.aborted || isFatal(error)) throw error;
    }
  }
}

/** What a repository's `config.json` and file list decided. */
function foundOnHub({ modelType, variants, revision }: ModelSpec, { name }: EngineKind): string {
  const dtypes = variants.map(({ dtype }) => dtype).join(', ');
  return `; the hub has model_type '${modelType}', which the engine '${name}' runs, in ${dtypes}, at commit ${revision?.slice(0, 7)}`;
}

/** Opens a model; when it is open, its files are verified. */
async function openVerified(kind: EngineKind, request: OpenRequest, options: OpenOptions): Promise<Engine> {
  const { files, signal } = options;
  const engine = await kind.open(request, options).catch(async (error: unknown) => {
    // A damaged file may be the reason. After a failure of the GPU nothing more is known about it.
    if (!signal.aborted && !isFatal(error)) await files.verify(signal);
    throw error;
  });
  try {
    await files.verify(signal);
  } catch (error) {
    await engine.close();
    throw error;
  }
  // If an older revision cannot be deleted, this one still works, and the next load tries again.
  await files.supersede().catch(() => {});
  return engine;
}

function isFatal(error: unknown): boolean {
  return isNearsightError(error) && ERRORS[error.code].fatal === true;
}
