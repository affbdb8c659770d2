import { RawImage } from '@huggingface/transformers';
import { yieldToEvents } from '../../../src/async/yield-to-events.ts';
import { asNearsightError, NearsightError } from '../../../src/protocol/errors.ts';
import { USUAL_CONTEXT } from '../../../src/protocol/model-spec.ts';
import type { Turn } from '../../../src/protocol/job.ts';
import { ConfigReader, type ModelFiles, readConfig, type TextConfig } from '../../families/config-reader.ts';
import type { EncodeTurns } from '../../families/chat-template.ts';
import { checkTokens } from '../../families/check-tokens.ts';
import type { FamilyTools, Processor, Prompt } from '../../families/processor.ts';
import { MOST_ROWS } from '../../families/qwen/qwen-settings.ts';
import type { TemplateTokenizer } from '../../families/tokenizer.ts';
import type { IdentifiedImage, ImageCache } from '../../vision/image-cache.ts';
import type { ImagePart } from '../../vision/image-decoder.ts';
import { unreadableImage } from '../../vision/unreadable-image.ts';
import type { EncoderInputs, NamedTensors, PromptImage, VisionInputs } from '../../vision/vision-inputs.ts';
import type { Session } from '../../onnx/ort-session.ts';
import type { Tensor } from '../../onnx/ort.ts';
import { type Family, openFamily, type Processed } from './open-family.ts';
import type { ImageGrid, TransformersModel } from './transformers-model.ts';

/** How many images' prompts are kept, so that a known image is not scaled to count its rows. */
const MOST_KEPT = 64;

const GENERATION = 'generation_config.json';

/** Pixels. */
const EXAMPLE_EDGE = 96;

/** What is known of an image once it was processed. */
type KnownImage = Pick<PromptImage, 'tokens'> & Pick<Processed, 'prompt'> & { grid: ImageGrid | undefined };

/**
 * A processor for families that nearsight has none for: transformers.js scales the images and says what stands for each in
 * the prompt. Tokenizer and template are ours, so that no text of a message becomes a special token.
 */
export class TransformersProcessor implements Processor {
  readonly config: TextConfig;
  readonly tokenizer: TemplateTokenizer;
  readonly imageTokenId: number;
  encoderInputs: EncoderInputs = anyInputs(new Map());
  readonly #encodeTurns: EncodeTurns;
  readonly #images: ImageCache;
  readonly #family: Family;
  #model: TransformersModel | undefined;
  readonly #kept = new Map<string, KnownImage>();

  /** @throws NearsightError `load_failed` for a family that transformers.js does not know */
  constructor(files: ModelFiles, tools: FamilyTools) {
    const config = readConfig(files, 'config.json');
    const imageToken = config.get('image_token_id') === undefined ? 'image_token_index' : 'image_token_id';
    this.imageTokenId = config.count(imageToken);
    this.config = textConfigOf(config, files);
    this.tokenizer = tools.openTokenizer(readConfig(files, 'tokenizer.json'));
    const name = [...this.tokenizer.special].find(([, id]) => id === this.imageTokenId)?.[0];
    if (name === undefined) throw config.error(imageToken, 'the id of a special token');
    this.#family = openFamily(files, name);
    this.#encodeTurns = tools.openChatTemplate(files, this.tokenizer);
    this.#images = tools.imageCache();
  }

  /** Called once the model is open, before the first chat. */
  attach(model: TransformersModel, inputs: Session['inputs']): void {
    this.#model = model;
    this.encoderInputs = anyInputs(inputs);
  }

  /**
   * What the vision encoder takes for a small image, and how many tokens stand for it.
   *
   * @throws NearsightError `load_failed` if the configs lack what it takes to make that
   */
  async example(): Promise<Pick<Processed, 'tensors'> & Pick<KnownImage, 'tokens'>> {
    const levels = Uint8ClampedArray.from({ length: 3 * EXAMPLE_EDGE ** 2 }, (_, at) => (at * 31) % 256);
    const image = new RawImage(levels, EXAMPLE_EDGE, EXAMPLE_EDGE, 3);
    const processed = await this.#family.process(image).catch((cause: unknown) => {
      const message = `transformers.js cannot prepare an image with the configs of this model: ${String(cause)}`;
      throw new NearsightError('load_failed', message, { cause });
    });
    return { tensors: processed.tensors, tokens: this.#count(processed).tokens };
  }

  async encodeChat(turns: readonly Turn[], maxPixels: number, useCache: boolean, signal: AbortSignal): Promise<Prompt> {
    const parts = turns.flatMap((turn) => turn.parts.filter((part): part is ImagePart => part.type === 'image'));
    const prompts: string[] = [];
    const grids: ImageGrid[] = [];
    const images: PromptImage[] = [];
    for (const [at, image] of (await this.#images.identify(parts, maxPixels, useCache, signal)).entries()) {
      // To scale an image takes long, and returns to the event loop at no time.
      await yieldToEvents(signal);
      const { prompt, grid, ...made } = await this.#image(image, parts[at]!.param, useCache);
      prompts.push(prompt);
      images.push(made);
      if (grid) grids.push(grid);
    }
    const ids = this.#encodeTurns(turns, this.#family.placeholder, prompts);
    // An image's features replace what is looked up for its tokens.
    checkTokens(ids, this.config.vocab, this.imageTokenId);
    return { ids, images, positions: this.#model?.gridPositions(ids, grids) };
  }

  forget(): void {
    this.#images.forget();
    this.#kept.clear();
  }

  async #image(image: IdentifiedImage, param: string, useCache: boolean): Promise<PromptImage & KnownImage> {
    const limit = this.#family.limit(image, MOST_ROWS[image.detail]);
    const key = `${image.width}x${image.height}/${limit ?? 'whole'}/${image.hash}`;
    const run = async (): Promise<Processed> => {
      const { data, width, height } = await image.pixels();
      const raw = new RawImage(new Uint8ClampedArray(data), width, height, 3);
      return this.#family.process(raw, limit).catch((cause: unknown) => {
        throw cause instanceof WebAssembly.RuntimeError ? cause : unreadable(image, param, cause);
      });
    };
    const kept = useCache ? this.#kept.get(key) : undefined;
    const processed = kept ? undefined : await run();
    const known = kept ?? this.#count(processed!);
    if (useCache) this.#keep(key, known);
    const open = async (): Promise<VisionInputs> => {
      const { tensors } = processed ?? (await run());
      return { batch: async () => tensors, close() {} };
    };
    return { key, crops: 1, open, ...known };
  }

  #count({ prompt, tensors }: Processed): KnownImage {
    const tokens = this.tokenizer.encodeTemplate(prompt).filter((id) => id === this.imageTokenId).length;
    return { prompt, tokens, grid: gridOf(tensors) };
  }

  #keep(key: string, known: KnownImage): void {
    this.#kept.delete(key);
    this.#kept.set(key, known);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > MOST_KEPT && oldest !== undefined) this.#kept.delete(oldest);
  }
}

function gridOf({ image_grid_thw: grid }: NamedTensors<Tensor['data']>): ImageGrid | undefined {
  if (!(grid?.data instanceof BigInt64Array)) return undefined;
  const [frames = 0, rows = 0, columns = 0] = Array.from(grid.data, Number);
  return [frames, rows, columns];
}

/** Such as one that is too long for the family: scaled, it would have no height. */
function unreadable({ width, height }: IdentifiedImage, param: string, cause: unknown): NearsightError {
  const what = `is ${width} x ${height} pixels, and this model's processor cannot scale it`;
  return unreadableImage(param, `${what} (${asNearsightError(cause).message}). Crop or scale it`, cause);
}

/** Some families have the text's settings at the root. */
function textConfigOf(config: ConfigReader, files: ModelFiles): TextConfig {
  const at = config.get('text_config') === undefined ? '' : 'text_config.';
  const generation = files.has(GENERATION) ? readConfig(files, GENERATION) : new ConfigReader({}, GENERATION);
  const places = [
    [generation, 'eos_token_id'],
    [config, 'eos_token_id'],
    [config, 'text_config.eos_token_id'],
  ] as const;
  const [reader, path] = places.find(([each, field]) => (each.get(field) ?? undefined) !== undefined) ?? places[0];
  return {
    vocab: config.count(`${at}vocab_size`),
    maxPositions: config.count(`${at}max_position_embeddings`, USUAL_CONTEXT),
    stopIds: reader.numbers(path),
  };
}

/** Nothing is known of what these encoders take: whatever transformers.js gives them. */
function anyInputs(inputs: Session['inputs']): EncoderInputs {
  return {
    example: () =>
      Object.fromEntries(
        [...inputs].map(([name, { type, shape }]) => [name, { type, dims: shape.map(() => 0), data: emptyOf(type) }]),
      ),
    constant: [],
    activationBytesPerCrop: 0,
  };
}

function emptyOf(type: Tensor.Type): Tensor['data'] {
  if (type === 'int64') return new BigInt64Array(0);
  if (type === 'bool') return new Uint8Array(0);
  if (type === 'float32') return new Float32Array(0);
  throw new NearsightError('load_failed', `The vision encoder takes ${type}, which transformers.js does not make.`);
}
