import type { HubModel, ModelSpec } from '../protocol/model-spec.ts';
import { within } from '../openai/option-checks.ts';
import { array, integer, isObject, mustBe, oneOf, quoted, string, type Check } from '../openai/field-checks.ts';

/** An object with these names, each with its check. Further ones are left to later versions. */
function having(checks: Readonly<Record<string, Check<unknown>>>): Check<Record<string, unknown>> {
  return (value, path) => {
    if (!isObject(value)) throw mustBe('an object', value, path);
    for (const [name, check] of Object.entries(checks)) check(value[name], `${path}.${name}`);
    return value;
  };
}

function optional(check: Check<unknown>): Check<unknown> {
  return (value, path) => (value === undefined || value === null ? undefined : check(value, path));
}

const url: Check<unknown> = optional((value, path) => {
  if (!URL.canParse(string(value, path), 'https://page')) throw mustBe('a URL', value, path);
});

/** A text of that form. */
function like(form: RegExp, what: string): Check<string> {
  return (value, path) => {
    const text = string(value, path);
    if (!form.test(text)) throw mustBe(what, value, path, quoted(value));
    return text;
  };
}

// Hashes and commits are names of stored files.
const file = having({
  path: string,
  bytes: integer(0),
  sha256: like(/^[0-9a-f]{64}$/, '64 lower-case hex digits'),
  url,
});
const graph = having({ file, data: array(file, 0, Infinity) });
const variant = having({
  dtype: string,
  devices: array(oneOf('webgpu', 'wasm'), 0, Infinity),
  graphs: having({ vision: graph, embed: graph, decoder: graph }),
});
const ids = array(integer(0), 1, 256);
const spec = having({
  id: string,
  modelType: string,
  repository: optional(string),
  revision: optional(like(/^[0-9a-f]{40}$/, 'a commit: 40 lower-case hex digits')),
  baseURL: url,
  files: array(file, 0, Infinity),
  variants: array(variant, 0, Infinity),
  contextLength: integer(1),
  canary: optional(having({ prompt: ids, tokens: ids })),
});

const hubModel = within<HubModel>({
  hub: like(/^[\w.-]+\/[\w.-]+$/, "'org/name'"),
  revision: string,
  dtype: string,
  baseURL: string,
});

/** What a model is called in requests and responses. */
export function idOf(model: string | ModelSpec | HubModel): string {
  if (typeof model === 'string') return model;
  return 'hub' in model ? model.hub : model.id;
}

/** A model's id, its ModelSpec, or its place on the hub. A spec of another format is refused when it is loaded. */
export const checkModel: Check<unknown> = (value, path) => {
  if (typeof value === 'string') return value;
  if (isObject(value) && 'hub' in value) return hubModel(value, path);
  if (!isObject(value) || !Array.isArray(value['files']) || !Array.isArray(value['variants'])) {
    throw mustBe('an id, a ModelSpec or a HubModel', value, path);
  }
  string(value['id'], `${path}.id`);
  return integer(1)(value['format'], `${path}.format`) === 1 ? spec(value, path) : value;
};
