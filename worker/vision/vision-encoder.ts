import { NearsightError } from '../../src/protocol/errors.ts';
import type { ImageSplitter } from '../backend/image-splitter.ts';
import { yieldToEvents } from '../../src/async/yield-to-events.ts';
import type { Ort, Tensor } from '../onnx/ort.ts';
import type { Port, Tensors } from '../onnx/ort-session.ts';
import { release, rowsOf } from '../onnx/tensor.ts';
import { pseudoRandomInput } from '../onnx/optimize/test-input.ts';
import { cpuImageSplitter } from './cpu-image-splitter.ts';
import { FeatureCache } from './feature-cache.ts';
import type { EncoderInputs, NamedTensors, PromptImage } from './vision-inputs.ts';

/** Crops in one run: more than four take more memory and save no time. */
const MAX_CROPS = 4;

/**
 * How many crops the encoder runs at once: the largest intermediate tensor must fit in one buffer and one binding. On
 * wasm one, because more save no time, and the abort signal is checked between runs.
 */
export function cropsPerRun(bytesPerCrop: number, limits: GPUSupportedLimits | undefined): number {
  if (!limits) return 1;
  const maxBytes = Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize);
  return Math.max(1, Math.min(MAX_CROPS, Math.floor(maxBytes / bytesPerCrop)));
}

/** A vision encoder that is open: a session, or one behind other code. */
export interface EncoderSession {
  readonly inputs: ReadonlyMap<string, Port>;
  run(feeds: Tensors): Promise<Tensors>;
}

/** Encodes images, and caches their features. */
export class VisionEncoder {
  readonly features = new FeatureCache();
  readonly #ort: Ort;
  readonly #session: EncoderSession;
  readonly #splitter: ImageSplitter;
  readonly #cropsPerRun: number;

  /**
   * @param limits of the GPU that the session runs on; absent: it runs on wasm
   * @param splitter default: on the CPU
   * @throws NearsightError `load_failed` if the graph has an input that the model's processor does not make
   */
  constructor(
    ort: Ort,
    session: EncoderSession,
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

  /** The features of all images, in order. They stay valid until {@link features} evicts them. */
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
      const rows = features.reduce((sum, tensor) => sum + rowsOf(tensor).rows, 0);
      if (rows === image.tokens) return features;
      const message = `The vision encoder returned ${rows} rows for ${image.tokens} image tokens.`;
      throw new NearsightError('internal', message);
    } catch (error) {
      features.forEach(release);
      throw error;
    } finally {
      inputs.close();
    }
  }
}

/** The features of some crops, in one run. The caller must release them. */
export async function runEncoder(ort: Ort, session: EncoderSession, inputs: NamedTensors): Promise<Tensor> {
  const { image_features: features } = await session.run(feedsOf(ort, session, inputs));
  if (!features) throw new NearsightError('internal', 'The vision encoder returned no image_features.');
  return features;
}

/** The inputs that the graph takes: the optimizer may have removed others. */
function feedsOf(ort: Ort, session: EncoderSession, inputs: NamedTensors): Tensors {
  const feeds: Tensors = {};
  for (const [name, { type }] of session.inputs) {
    const input = inputs[name];
    if (input?.type !== type) {
      const message = `The vision encoder takes ${name} (${type}), which this model's processor does not make.`;
      throw new NearsightError('load_failed', message);
    }
    const { dims, data } = input;
    feeds[name] =
      'mapState' in data
        ? ort.Tensor.fromGpuBuffer(data, { dataType: 'float32', dims })
        : new ort.Tensor(type, data, dims);
  }
  return feeds;
}
