/** Where a model runs. */
export type Device = 'webgpu' | 'wasm';

/** The context length of configs that leave it out, because it is their class's default: Gemma 3's is 131,072. */
export const USUAL_CONTEXT = 8192;

/**
 * A model, as data: which files, how many bytes, with which hashes, for which architecture.
 *
 * A page may pass its own; `smolvlm-256m` and `glimpse` are two that come with nearsight.
 */
export interface ModelSpec {
  /** The version of this format; another one is refused. */
  format: 1;
  /** The name in requests and responses. */
  id: string;
  /** `model_type` of the model's `config.json`: decides the engine, the preprocessing and the prompt. */
  modelType: string;
  /** The repository on Hugging Face's hub, `org/name`, from which files without a `baseURL` or `url` come. */
  repository?: string | undefined;
  /** The commit there, as 40 lower-case hexadecimal digits: a branch moves, and then the hashes no longer match. */
  revision?: string | undefined;
  /** Where the files are, unless a file says otherwise; relative to the document's base URL. Must end in `/`. */
  baseURL?: string | URL | undefined;
  /**
   * For a model whose files come with the package: its folder there, and its name among the `assets` of
   * `createNearsight`. Once the page sets these, they decide where all files are, before any `url` or `baseURL`.
   */
  assets?: 'glimpse' | undefined;
  /** Configs and tokenizer, which every variant needs. Names as on the hub. */
  files: readonly ModelFile[];
  /** Sets of graphs, in order of preference: the first that the device can run is loaded. */
  variants: readonly ModelVariant[];
  /** Prompt and answer together, in tokens; at most the model's own maximum. */
  contextLength: number;
  /** Whether answers on the CPU come at least as fast as one reads. `device: 'auto'` uses wasm only if `ok`. */
  wasm: 'ok' | 'slow';
  licence: ModelLicence;
  /** What the model is good at, in one line. */
  description?: string | undefined;
  /** A known answer, which a device must give before it is used. */
  canary?: ModelCanary | undefined;
}

/**
 * A prompt without images, and its greedy answer in every variant: take one in which each token is far ahead of the next.
 * Where other tokens come out, the next variant or device is tried.
 */
export interface ModelCanary {
  /** Token ids, those of the chat template included: 1 to 256. */
  prompt: readonly number[];
  /** Token ids: 1 to 256. */
  tokens: readonly number[];
}

/**
 * A repository on Hugging Face's hub, whose spec is made at load: from its file list and its `config.json`, at one commit,
 * and recorded with the stored files. Its id is `hub`.
 */
export interface HubModel {
  /** `org/name`. */
  hub: string;
  /** A branch, a tag or a commit. @defaultValue 'main' */
  revision?: string | undefined;
  /** The hub's suffix of the graphs to use: `q4`, `q4f16`, … @defaultValue the first that this device can run */
  dtype?: string | undefined;
  /** A mirror that has the hub's paths, those of its API included. @defaultValue 'https://huggingface.co' */
  baseURL?: string | URL | undefined;
}

/** The terms under which a model is published. */
export interface ModelLicence {
  /** The identifier on SPDX's list, if it is there. */
  spdx?: string | undefined;
  /** What the licence is called, if it is not on that list. */
  name?: string | undefined;
  /** Where its text is. */
  url?: string | undefined;
  /** Whether it restricts what the model may be used for, or by whom: say so before you download the model. */
  restricted: boolean;
  /** What it restricts, in one line. */
  restriction?: string | undefined;
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
  graphs: {
    vision: ModelGraph;
    /** Token embeddings. In half precision they are half the download, and WebGPU reads them without `shader-f16`. */
    embed: ModelGraph;
    decoder: ModelGraph;
  };
}

/** The names of a variant's graphs. */
export type GraphName = keyof ModelVariant['graphs'];

/** An ONNX graph. */
export interface ModelGraph {
  file: ModelFile;
  /**
   * The files that hold its external data, if it has any. Their paths relative to the graph's folder are the locations
   * that the graph names.
   */
  data: readonly ModelFile[];
}
