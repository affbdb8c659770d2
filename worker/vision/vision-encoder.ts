import { NearsightError } from '../../src/protocol/errors.ts';
import type { ImageSplitter } from '../backend/image-splitter.ts';
import { yieldToEvents } from '../../src/async/yield-to-events.ts';
import type { Ort, Tensor } from '../onnx/ort.ts';
import type { Session, Tensors } from '../onnx/ort-session.ts';
import { release, rowsOf } from '../onnx/tensor.ts';
import { pseudoRandomInput } from '../onnx/optimize/test-input.ts';
import { cpuImageSplitter } from './cpu-image-splitter.ts';
import { FeatureCache } from './feature-cache.ts';
import type { EncoderInputs, NamedTensors, PromptImage } from './vision-inputs.ts';

/** Crops in one run at most: beyond four, more of them take memory and no longer save time. */
const MOST_CROPS = 4;

/**
 * How many crops the encoder is given at once, so that the largest result between two nodes fits in one buffer and one
 * binding. On wasm it is one: there is nothing to gain, and between crops there is a look at the abort signal.
 */
export function cropsPerRun(bytesPerCrop: number, limits: GPUSupportedLimits | undefined): number {
  if (!limits) return 1;
  const room = Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize);
  return Math.max(1, Math.min(MOST_CROPS, Math.floor(room / bytesPerCrop)));
}

/** Turns images into features, which are kept for when the same image is asked about again. */
export class VisionEncoder {
  readonly features = new FeatureCache();
  readonly #ort: Ort;
  readonly #session: Session;
  readonly #splitter: ImageSplitter;
  readonly #cropsPerRun: number;

  /**
   * @param limits of the GPU that it runs on, if it does
   * @param splitter by default, in memory
   * @throws NearsightError `load_failed` if the graph takes something else than the model's processor gives
   */
  constructor(
    ort: Ort,
    session: Session,
    inputs: EncoderInputs,
    limits?: GPUSupportedLimits,
    splitter = cpuImageSplitter,
  ) {
    feedsOf(ort, session, inputs.example(0, pseudoRandomInput));
    this.#ort = ort;
    this.#session = session;
    this.#splitter = splitter;
    this.#cropsPerRun = cropsPerRun(inputs.activationBytesPerCrop, limits);
  }

  /** The features of all the images, in order. They stay valid until {@link features} drops them. */
  async encode(images: readonly PromptImage[], signal: AbortSignal): Promise<Tensor[]> {
    const encoded: Tensor[] = [];
    for (const image of images) {
      let features = this.features.get(image.key);
      if (!features) this.features.set(image.key, (features = await this.#run(image, signal)));
      encoded.push(...features);
    }
    return encoded;
  }

  async #run(image: PromptImage, signal: AbortSignal): Promise<Tensor[]> {
    const inputs = await image.open(this.#splitter, signal);
    const features: Tensor[] = [];
    try {
      for (let first = 0; first < image.crops; first += this.#cropsPerRun) {
        await yieldToEvents(signal);
        const batch = await inputs.batch(first, Math.min(this.#cropsPerRun, image.crops - first));
        features.push(await runEncoder(this.#ort, this.#session, batch));
      }
      const rows = features.reduce((sum, each) => sum + rowsOf(each).rows, 0);
      if (rows === image.tokens) return features;
      throw new NearsightError('internal', `The vision encoder gave ${rows} rows for ${image.tokens} image tokens.`);
    } catch (error) {
      features.forEach(release);
      throw error;
    } finally {
      inputs.close();
    }
  }
}

/** The features of some crops, all run at once. The caller must release them. */
export async function runEncoder(ort: Ort, session: Session, inputs: NamedTensors): Promise<Tensor> {
  const { image_features: features } = await session.run(feedsOf(ort, session, inputs));
  if (!features) throw new NearsightError('internal', 'The vision encoder gave no image_features.');
  return features;
}

/** Those of the inputs that the graph takes. The optimizer may have settled what the others are for. */
function feedsOf(ort: Ort, session: Session, inputs: NamedTensors): Tensors {
  const feeds: Tensors = {};
  for (const [name, { type }] of session.inputs) {
    const given = inputs[name];
    if (given?.type !== type) {
      const words = `The vision encoder takes ${name} (${type}), which this model's processor does not give.`;
      throw new NearsightError('load_failed', words);
    }
    const { dims, data } = given;
    feeds[name] =
      'mapState' in data
        ? ort.Tensor.fromGpuBuffer(data, { dataType: 'float32', dims })
        : new ort.Tensor(type, data, dims);
  }
  return feeds;
}
