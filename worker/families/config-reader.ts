import { NearsightError } from '../../src/protocol/errors.ts';

/**
 * A model's configs and tokenizer as downloaded, by their file names on the hub: `config.json`,
 * `generation_config.json`, `preprocessor_config.json`, `processor_config.json`, `tokenizer.json`,
 * `tokenizer_config.json`, `chat_template.json` or `chat_template.jinja`.
 */
export type ModelFiles = ReadonlyMap<string, Uint8Array>;

/** What the engine needs of a decoder's config. */
export interface TextConfig {
  vocab: number;
  /** The context length that the model was trained for. */
  maxPositions: number;
  /** Generation stops at any of these tokens. */
  stopIds: readonly number[];
}

/** Parses one of a model's JSON files. */
export function readConfig(files: ModelFiles, name: string): ConfigReader {
  const bytes = files.get(name);
  if (!bytes) throw new NearsightError('load_failed', `The model has no ${name}; its spec must list one under files.`);
  try {
    const root: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return new ConfigReader(root, name);
  } catch (cause) {
    throw new NearsightError('load_failed', `The model's ${name} is not JSON.`, { cause });
  }
}

/** How images are preprocessed: a file of its own, in newer repositories a part of the processor's. */
export function readPreprocessor(files: ModelFiles): ConfigReader {
  const own = 'preprocessor_config.json';
  if (files.has(own) || !files.has('processor_config.json')) return readConfig(files, own);
  const nested = readConfig(files, 'processor_config.json').get('image_processor');
  return new ConfigReader(nested, 'processor_config.json (image_processor)');
}

/**
 * Reads the decoder's config. `stopIds` come from the generation config: the text config's `eos_token_id` is wrong.
 *
 * @param absent what stands for fields that are not there
 */
export function textConfig(
  config: ConfigReader,
  generation: ConfigReader,
  absent?: Omit<TextConfig, 'stopIds'>,
): TextConfig {
  // Older configs have the decoder's fields beside the others.
  const flat = config.get('text_config.vocab_size') === undefined && config.get('vocab_size') !== undefined;
  const path = flat ? '' : 'text_config.';
  return {
    vocab: config.count(`${path}vocab_size`, absent?.vocab),
    maxPositions: config.count(`${path}max_position_embeddings`, absent?.maxPositions),
    stopIds: generation.numbers('eos_token_id'),
  };
}

/**
 * Reads a model's JSON file field by field, and checks each: an unexpected config fails the load with the field's name,
 * instead of giving wrong answers.
 */
export class ConfigReader {
  readonly #root: unknown;
  readonly #file: string;

  constructor(root: unknown, file: string) {
    this.#root = root;
    this.#file = file;
  }

  /** All of it. */
  get root(): unknown {
    return this.#root;
  }

  /** The value at a dotted path, or undefined if any step is missing. */
  get(path: string): unknown {
    let value = this.#root;
    for (const key of path.split('.')) {
      if (!isRecord(value)) return undefined;
      value = value[key];
    }
    return value;
  }

  /**
   * A positive whole number.
   *
   * @param absent what a field that is not there, or null, stands for
   */
  count(path: string, absent?: number): number {
    const value = this.get(path) ?? absent;
    if (typeof value === 'number' && Number.isSafeInteger(value) && value > 0) return value;
    throw this.error(path, 'a positive whole number');
  }

  /** A list of numbers; a single one counts as a list of one. */
  numbers(path: string, length?: number, absent?: readonly number[]): number[] {
    const value = [this.get(path) ?? absent].flat();
    if (value.every((item) => typeof item === 'number') && value.length === (length ?? value.length)) return value;
    throw this.error(path, `a list of ${length === undefined ? '' : `${length} `}numbers`);
  }

  string(path: string): string {
    const value = this.get(path);
    if (typeof value === 'string') return value;
    throw this.error(path, 'a string');
  }

  /**
   * Refuses any other value: the code supports only this one.
   *
   * @param absent what a field that is not there, or null, stands for
   */
  expect(path: string, expected: string | number | boolean, absent?: string | number | boolean): void {
    if ((this.get(path) ?? absent) !== expected) throw this.error(path, JSON.stringify(expected));
  }

  error(path: string, expected: string): NearsightError {
    const found = JSON.stringify(this.get(path)) ?? 'nothing';
    const message = `${this.#file}: ${path} should be ${expected}, and is ${found.slice(0, 80)}.`;
    return new NearsightError('load_failed', message);
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
