import { sha256 } from '../../src/bytes/sha256.ts';
import { NearsightError } from '../../src/protocol/errors.ts';
import {
  type GraphName,
  type HubModel,
  type ModelFile,
  type ModelGraph,
  type ModelSpec,
  USUAL_CONTEXT,
} from '../../src/protocol/model-spec.ts';
import { checkNumbers, NUMBERED } from './config-bounds.ts';
import { HubAddress } from './hub-address.ts';
import { type Bytes, fetchBytes, fetchJSON, type HubAccess, parseJSON } from './hub-fetch.ts';
import { licenceOf } from './hub-licence.ts';
import { checkSize, type HubEntry, listFiles, unusable } from './hub-tree.ts';
import { findVariants, type FoundVariant } from './hub-variants.ts';

export interface ResolveOptions extends HubAccess {
  /** The `model_type`s that some engine can run. */
  modelTypes: readonly string[];
}

/** A repository's model at one commit. */
export interface ResolvedHub {
  /** With absolute URLs. */
  spec: ModelSpec;
  /** Files that had to be read to make the spec, verified, by their paths. */
  small: ReadonlyMap<string, Bytes>;
}

/** Most bytes of each file that is read here. */
const CONFIGS: Readonly<Record<string, number>> = {
  'config.json': 2 ** 20,
  'generation_config.json': 2 ** 18,
  'preprocessor_config.json': 2 ** 18,
  'processor_config.json': 2 ** 18,
  'chat_template.json': 2 ** 18,
  'chat_template.jinja': 2 ** 18,
  'tokenizer.json': 2 ** 26,
  'tokenizer_config.json': 2 ** 24,
};
const INFO_BYTES = 4 * 2 ** 20;
/** A graph that the hub does not store as a large file has its weights elsewhere. */
const GRAPH_BYTES = 2 ** 24;
const MOST_CONTEXT = 2 ** 21;
/** Above this, a step on the CPU takes longer than reading a token: 87 MB give 50 tokens a second on two cores. */
const WASM_DECODER_BYTES = 300e6;

/**
 * Makes the spec of a repository on the hub, at the commit that its branch is at, from its file list and its configs.
 *
 * Nothing that the repository says is trusted: paths, sizes, numbers and the length of every answer are bounded, and files
 * are used only if they match their git hashes.
 *
 * @throws NearsightError `invalid_request` (name, revision), `load_failed` (network, status, an unusable repository),
 *   `integrity` (a file or a commit that is not what its hash says), `unsupported_device` (a `model_type` that is not known);
 *   or the signal's reason
 */
export async function resolveHub(model: HubModel, options: ResolveOptions): Promise<ResolvedHub> {
  const address = new HubAddress(model);
  const { commit, info } = await readRevision(address, model.revision ?? 'main', options);
  const repository = new Repository(address, commit, await listFiles(address, commit, options), options);
  const config = await repository.config('config.json');
  const modelType = typeOf(config, model.hub, options.modelTypes);
  const found = findVariants(repository.files, model.dtype);
  const configs = Object.keys(CONFIGS).filter((path) => repository.files.has(path));
  await Promise.all(NUMBERED.filter((path) => repository.files.has(path)).map((path) => repository.config(path)));
  const spec: ModelSpec = {
    format: 1,
    id: model.hub,
    modelType,
    repository: model.hub,
    revision: commit,
    files: await Promise.all(configs.map((path) => repository.describe(path))),
    variants: await Promise.all(
      found.map(async (variant) => ({ ...variant, graphs: await describeGraphs(repository, variant) })),
    ),
    contextLength: contextLength(config),
    wasm: decoderBytes(repository.files, found) <= WASM_DECODER_BYTES ? 'ok' : 'slow',
    licence: licenceOf(info),
  };
  return { spec, small: repository.small };
}

async function readRevision(address: HubAddress, revision: string, access: HubAccess) {
  const { json } = await fetchJSON(address.revision(revision), INFO_BYTES, access);
  const info: Record<string, unknown> = Object(json);
  const commit = info['sha'];
  if (typeof commit !== 'string' || !/^[0-9a-f]{40}$/.test(commit)) {
    throw new NearsightError(
      'load_failed',
      `${address.revision(revision)} does not say which commit '${revision}' is.`,
    );
  }
  if (/^[0-9a-f]{40}$/.test(revision) && commit !== revision) {
    throw new NearsightError('integrity', `The server gives commit ${commit} for ${revision}. It was not used.`);
  }
  return { commit, info };
}

function typeOf(config: unknown, id: string, known: readonly string[]): string {
  const { model_type: type }: Record<string, unknown> = Object(config);
  if (typeof type === 'string' && known.includes(type)) return type;
  const found = typeof type === 'string' ? `'${type.slice(0, 80)}'` : 'not named in its config.json';
  const message = `${id} cannot run here: its model_type is ${found}. Known ones: ${known.join(', ')}.`;
  throw new NearsightError('unsupported_device', message);
}

function contextLength(config: unknown): number {
  const root: Record<string, unknown> = Object(config);
  const text: Record<string, unknown> = Object(root['text_config']);
  const length = text['max_position_embeddings'] ?? root['max_position_embeddings'] ?? USUAL_CONTEXT;
  if (typeof length === 'number' && Number.isSafeInteger(length) && length > 0 && length <= MOST_CONTEXT) return length;
  const message = `config.json: max_position_embeddings should be a whole number up to ${MOST_CONTEXT}`;
  throw new NearsightError('load_failed', `The repository cannot be used: ${message}.`);
}

function decoderBytes(files: ReadonlyMap<string, HubEntry>, variants: readonly FoundVariant[]): number {
  const onCPU = variants.find(({ devices }) => devices.includes('wasm'));
  const sizes = onCPU?.graphs.decoder.map((path) => files.get(path)?.bytes ?? 0) ?? [Infinity];
  return sizes.reduce((sum, bytes) => sum + bytes);
}

async function describeGraphs(repository: Repository, { graphs }: FoundVariant) {
  const describe = async (name: GraphName): Promise<ModelGraph> => {
    const [file, ...data] = await Promise.all(graphs[name].map((path) => repository.describe(path)));
    if (!file) throw new NearsightError('internal', `The graph ${name} has no file.`);
    return { file, data };
  };
  const [vision, embed, decoder] = await Promise.all([describe('vision'), describe('embed'), describe('decoder')]);
  return { vision, embed, decoder };
}

/** The files of a commit. Each is read once. */
class Repository {
  readonly files: ReadonlyMap<string, HubEntry>;
  readonly small = new Map<string, Bytes>();
  readonly #address: HubAddress;
  readonly #commit: string;
  readonly #access: HubAccess;
  readonly #reading = new Map<string, Promise<Bytes>>();

  constructor(address: HubAddress, commit: string, files: ReadonlyMap<string, HubEntry>, access: HubAccess) {
    this.#address = address;
    this.#commit = commit;
    this.files = files;
    this.#access = access;
  }

  /** Parses a config whose numbers are within bounds. */
  async config(path: string): Promise<unknown> {
    const config = parseJSON(await this.#read(this.#entry(path)), path);
    checkNumbers(config, path);
    return config;
  }

  /** A file as specs list it. Its sha256 comes from the listing, or for a small file from its bytes. */
  async describe(path: string): Promise<ModelFile> {
    const entry = this.#entry(path);
    checkSize(entry, CONFIGS[path]);
    const digest = entry.sha256 ?? (await sha256(await this.#read(entry)));
    return { path, bytes: entry.bytes, sha256: digest, url: this.#address.file(this.#commit, path) };
  }

  #entry(path: string): HubEntry {
    const entry = this.files.get(path);
    if (!entry) throw new NearsightError('load_failed', `The repository cannot be used: it has no ${path}.`);
    return entry;
  }

  #read(entry: HubEntry): Promise<Bytes> {
    const reading = this.#reading.get(entry.path) ?? this.#fetch(entry);
    this.#reading.set(entry.path, reading);
    return reading;
  }

  async #fetch(entry: HubEntry): Promise<Bytes> {
    const { path } = entry;
    checkSize(entry, CONFIGS[path] ?? GRAPH_BYTES);
    if (entry.sha256 === undefined && entry.blob === undefined) throw unusable(`has no hash of ${path}`);
    const { bytes } = await fetchBytes(this.#address.file(this.#commit, path), entry.bytes, this.#access);
    if (bytes.length !== entry.bytes || !(await matches(bytes, entry))) {
      const message = `${path} is not the file of the commit: ${bytes.length} of ${entry.bytes} bytes, or another hash.`;
      throw new NearsightError('integrity', `${message} It was not used.`);
    }
    this.small.set(path, bytes);
    return bytes;
  }
}

async function matches(bytes: Bytes, entry: HubEntry): Promise<boolean> {
  if (entry.sha256 !== undefined) return (await sha256(bytes)) === entry.sha256;
  return (await gitBlobHash(bytes)) === entry.blob;
}

/** The SHA-1 under which git keeps a file. */
async function gitBlobHash(bytes: Bytes): Promise<string> {
  const head = new TextEncoder().encode(`blob ${bytes.length}\0`);
  const blob = new Uint8Array(head.length + bytes.length);
  blob.set(head);
  blob.set(bytes, head.length);
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-1', blob));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
