/** Where a model runs. */
export type Device = 'webgpu' | 'wasm';

/**
 * A model, as data: which files, how many bytes, with which hashes, for which architecture.
 *
 * A page may pass its own; `smolvlm-256m` and `glimpse` are two that come with nearsight.
 */
export interface ModelSpec {
  /** The name in requests and responses. */
  id: string;
  /** The architecture, which decides preprocessing, prompt and graphs. */
  modelType: 'idefics3';
  /** The repository on Hugging Face's hub, `org/name`, from which files without a `baseURL` or `url` come. */
  repository?: string | undefined;
  /** The commit there, as 40 lower-case hexadecimal digits: a branch moves, and then the hashes match no more. */
  revision?: string | undefined;
  /** Where the files are, unless a file says otherwise. Must end in `/`. */
  baseURL?: string | URL | undefined;
  /** Configs and tokenizer: read whatever the variant. Names as on the hub. */
  files: readonly ModelFile[];
  /** Sets of graphs, in order of preference: the first that the device can run is loaded. */
  variants: readonly ModelVariant[];
  /** Prompt and answer together, in tokens; at most the model's own maximum. */
  contextLength: number;
  /** Whether an answer comes in bearable time on the CPU. `device: 'auto'` uses wasm only if so. */
  bearableOnWasm: boolean;
}

/** A file that is used only if its bytes match. */
export interface ModelFile {
  /** The name within the model's folder: `onnx/embed_tokens_q4.onnx`. */
  path: string;
  bytes: number;
  /** Lower-case hexadecimal. */
  sha256: string;
  /** Overrides `baseURL` + `path`. */
  url?: string | URL | undefined;
}

/** One set of graphs: the same model in one precision. */
export interface ModelVariant {
  /** The hub's suffix: `q4`, `q4f16`, … */
  dtype: string;
  devices: readonly Device[];
  /** True if any graph holds float16, which WebGPU runs only with `shader-f16`. */
  f16: boolean;
  vision: ModelFile;
  /** Token embeddings. Those in half precision are half the download, and WebGPU reads them without `shader-f16`. */
  embed: ModelFile;
  decoder: ModelFile;
}
