import * as transformers from '@huggingface/transformers';
import { NearsightError } from '../../../src/protocol/errors.ts';
import { type ModelFiles, readConfig } from '../../families/config-reader.ts';
import type { Tensors } from '../../onnx/ort-session.ts';
import type { Tensor } from '../../onnx/ort.ts';
import type { PromptPositions } from '../../families/processor.ts';
import { handleOf, type SessionHandle, tensorOf } from './ort-facade.ts';

/** An image's patches before they are merged into feature rows. */
export type ImageGrid = readonly [frames: number, rows: number, columns: number];

type Handles = Readonly<Record<string, unknown>>;

/** The part of a transformers.js model that is used: never `generate()`, which cannot keep our contracts. */
interface Model {
  forward(inputs: Handles): Promise<Handles>;
  encode_image(inputs: Handles): Promise<object | undefined>;
  get_rope_index?: (ids: object, grids: object | undefined, videos: undefined, mask: undefined) => [object, object];
}

/** Everything that transformers.js exports, by name. */
export const exported: Readonly<Record<string, unknown>> = { ...transformers };

/** A `config.json` as transformers.js reads it. */
export interface ModelConfig {
  parsed: object;
  /** Its class of such models. */
  modelClass: new (config: object, sessions: object, configs: object) => Model;
}

/** @throws NearsightError `load_failed` for a family that transformers.js does not know, or a config that it cannot read */
export function readModelConfig(files: ModelFiles): ModelConfig {
  const config = readConfig(files, 'config.json');
  const type = config.string('model_type');
  const mappings: readonly ReadonlyMap<string, string>[] = Object(
    transformers.AutoModelForImageTextToText,
  ).MODEL_CLASS_MAPPINGS;
  const found = exported[mappings.map((mapping) => mapping.get(type)).find(Boolean) ?? ''];
  if (typeof found !== 'function') {
    throw new NearsightError('load_failed', `transformers.js knows no models of the type '${type}'.`);
  }
  try {
    return { parsed: new transformers.PretrainedConfig(Object(config.root)), modelClass: Object(found) };
  } catch (cause) {
    const message = `transformers.js cannot read the config.json of this model: ${String(cause)}`;
    throw new NearsightError('load_failed', message, { cause });
  }
}

/** A model class of transformers.js, which knows how its family runs its graphs, over our sessions. */
export class TransformersModel {
  /** Whether positions have three rows: time, height and width. */
  readonly hasGridPositions: boolean;
  readonly #model: Model;
  readonly #vision: SessionHandle;
  readonly #decoder: SessionHandle;

  constructor(config: ModelConfig, sessions: Record<'vision' | 'embed' | 'decoder', SessionHandle>) {
    const { vision, embed, decoder } = sessions;
    const named = { vision_encoder: vision, embed_tokens: embed, decoder_model_merged: decoder };
    this.#model = new config.modelClass(config.parsed, named, {});
    this.#vision = vision;
    this.#decoder = decoder;
    const positions = decoder.inputMetadata.map(Object).find(({ name }) => name === 'position_ids');
    this.hasGridPositions = this.#model.get_rope_index !== undefined && positions?.shape.length === 3;
  }

  /** One run of the decoder, which writes to `targets` the outputs of these names. The caller owns all outputs. */
  async forward(inputs: Tensors, past: Tensors, targets: Tensors): Promise<Tensors> {
    this.#decoder.targets = targets;
    const outputs = await this.#model.forward({ ...wrap(inputs), past_key_values: wrap(past) });
    this.#decoder.throwFailure();
    return unwrap(outputs);
  }

  /** The features of one image. */
  async encodeImage(inputs: Tensors): Promise<Tensor> {
    const features = await this.#model.encode_image(wrap(inputs));
    this.#vision.throwFailure();
    if (!features) throw new NearsightError('internal', 'The vision encoder returned no image_features.');
    return tensorOf(Object(features).ort_tensor);
  }

  /** The positions of a prompt's tokens; undefined: they are counted. */
  gridPositions(ids: Int32Array, grids: readonly ImageGrid[]): PromptPositions | undefined {
    if (!this.hasGridPositions) return undefined;
    const int64 = (values: Iterable<number>, dims: number[]): object =>
      new transformers.Tensor('int64', BigInt64Array.from(values, BigInt), dims);
    const images = grids.length > 0 ? int64(grids.flat(), [grids.length, 3]) : undefined;
    const index = this.#model.get_rope_index?.(int64(ids, [1, ids.length]), images, undefined, undefined);
    const { data }: { data?: unknown } = Object(index?.[0]);
    if (!(data instanceof BigInt64Array)) throw new TypeError('Expected positions as int64.');
    const all = Int32Array.from(data, Number);
    const [time, row, column] = [0, 1, 2].map((axis) => all.subarray(axis * ids.length, (axis + 1) * ids.length));
    return { axes: [time!, row!, column!], next: all.reduce((most, each) => Math.max(most, each), -1) + 1 };
  }
}

function wrap(tensors: Tensors): Handles {
  const TensorOf: new (handle: object) => object = Object(transformers.Tensor);
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, new TensorOf(handleOf(tensor))]));
}

function unwrap(handles: Handles): Tensors {
  return Object.fromEntries(
    Object.entries(handles).map(([name, handle]) => [name, tensorOf(Object(handle).ort_tensor)]),
  );
}
