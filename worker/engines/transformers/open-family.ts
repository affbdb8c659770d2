import type { RawImage } from '@huggingface/transformers';
import { ConfigReader, type ModelFiles, readConfig } from '../../families/config-reader.ts';
import type { Size } from '../../backend/image-splitter.ts';
import type { NamedTensors } from '../../vision/vision-inputs.ts';
import type { Tensor } from '../../onnx/ort.ts';
import { type SizeLimit, sizeLimitOf, type Settings } from './limit-rows.ts';
import { tensorOf } from './ort-facade.ts';
import { exported } from './transformers-model.ts';

/** Processors that take images before texts. */
const IMAGES_FIRST = ['LlavaProcessor', 'PixtralProcessor'];

/** Steps that the Python reference does unless a config says no. transformers.js leaves out what is not named. */
const STEPS: Settings = { do_resize: true, do_rescale: true, do_normalize: true };

const CHANNELS = 3;

const IMAGE_CONFIG = 'preprocessor_config.json';

/** What transformers.js makes of an image. */
export interface Processed {
  /** What stands in the prompt for it. */
  prompt: string;
  tensors: NamedTensors<Tensor['data']>;
}

/** A family's processor. */
export interface Family {
  /** The template's text for an image. */
  placeholder: string;
  /** What {@link process} needs to know so that an image gets at most so many rows; undefined: the config is enough. */
  limit: (image: Size, rows: number) => number | undefined;
  process: (image: RawImage, limit?: number) => Promise<Processed>;
}

/**
 * Opens the processor that transformers.js has for a family. It is called for one image at a time, because several are a
 * video to some.
 *
 * @throws NearsightError `load_failed` for a class that transformers.js does not know, or a field that is missing
 */
export function openFamily(files: ModelFiles, imageToken: string): Family {
  const own = settingsOf(files, 'processor_config.json');
  const image = { ...Object(own['image_processor']), ...settingsOf(files, IMAGE_CONFIG) };
  const modelType = readConfig(files, 'config.json').string('model_type');
  const named = [own['processor_class'], image['processor_class']];
  // transformers.js has no class of its own for it.
  if (modelType === 'lighton_ocr') named.push('PixtralProcessor');
  const name = named.find((each) => classOf(each)) ?? named.find((each) => each !== undefined);
  let text = '';
  // Gets the prompt with everything in it that stands for the image.
  const tokenizer = Object.assign(
    (expanded: string | readonly string[]) => {
      text = [expanded].flat().join('');
      return {};
    },
    { bos_token: '' },
  );
  const settings = { ...own, ...tokensOfImages(modelType, own), image_token: imageToken };
  const { sizeLimit, imageProcessor } = readImageProcessor(image);
  const processor = (limit?: number) => {
    const components = { tokenizer, image_processor: imageProcessor(limit) };
    return construct('processor_class', name, settings, components, null);
  };
  // Throws if there is no such class.
  processor();
  const imagesFirst = IMAGES_FIRST.some((each) => each === name);
  return {
    placeholder: imageToken,
    limit(size, rows) {
      const limit = sizeLimit?.limitFor(size, rows) ?? Infinity;
      return limit < (sizeLimit?.own ?? 0) ? limit : undefined;
    },
    async process(raw, limit) {
      const made = await processor(limit)(...(imagesFirst ? [raw, imageToken] : [imageToken, raw]));
      return { prompt: text, tensors: tensorsIn(made) };
    },
  };
}

/** What a config says. What is null there counts as not said. */
function settingsOf(files: ModelFiles, name: string): Settings {
  const { root } = files.has(name) ? readConfig(files, name) : {};
  return Object.fromEntries(Object.entries(Object(root)).filter(([, value]) => value !== null));
}

/** What the Python reference writes for an image, where transformers.js reads it in another way. */
function tokensOfImages(modelType: string, own: Settings): Settings {
  // In transformers.js, its class is that of Pixtral, which ends rows and images with tokens.
  if (modelType === 'lighton_ocr') return { image_break_token: '', image_end_token: '' };
  // LLaVA's, without the class token of the encoder.
  const { num_additional_image_tokens: additional = 0, vision_feature_select_strategy: strategy } = own;
  return { num_additional_image_tokens: Number(additional) - (strategy === 'default' ? 1 : 0) };
}

interface ImageProcessor {
  sizeLimit: SizeLimit | undefined;
  imageProcessor: (limit?: number) => unknown;
}

function readImageProcessor(given: Settings): ImageProcessor {
  const settings: Settings = { ...STEPS, ...given };
  const { image_processor_type: type, do_normalize, do_resize, max_pixels, size } = settings;
  const config = new ConfigReader(settings, IMAGE_CONFIG);
  if (do_normalize !== false) for (const each of ['image_mean', 'image_std']) config.numbers(each, CHANNELS);
  if (do_resize !== false && max_pixels === undefined && size === undefined)
    throw config.error('size', 'the size of an image');
  const sizeLimit = do_resize === false ? undefined : sizeLimitOf(type, config);
  return {
    sizeLimit,
    imageProcessor(limit) {
      const limited = limit === undefined ? {} : sizeLimit?.settings(limit);
      return construct('image_processor_type', type, { ...settings, ...limited });
    },
  };
}

type Class = new (...args: unknown[]) => (...args: unknown[]) => Promise<Settings>;

function classOf(name: unknown): Class | undefined {
  const found = typeof name === 'string' ? exported[name.replace(/Fast$/, '')] : undefined;
  return typeof found === 'function' ? Object(found) : undefined;
}

/** @throws NearsightError `load_failed` naming the field that named the class */
function construct(field: string, name: unknown, ...args: ConstructorParameters<Class>): InstanceType<Class> {
  const found = classOf(name);
  if (!found) throw new ConfigReader({ [field]: name }, IMAGE_CONFIG).error(field, 'one that transformers.js knows');
  return new found(...args);
}

function tensorsIn(made: Readonly<Record<string, unknown>>): NamedTensors<Tensor['data']> {
  const tensors: Record<string, Pick<Tensor, 'type' | 'dims' | 'data'>> = {};
  for (const [name, value] of Object.entries(made)) {
    const { ort_tensor: handle }: { ort_tensor?: unknown } = Object(value);
    if (handle === undefined) continue;
    const { type, dims, data } = tensorOf(handle);
    tensors[name] = { type, dims, data };
  }
  return tensors;
}
