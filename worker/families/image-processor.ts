import type { SplitPlan } from '../backend/image-splitter.ts';
import type { IdentifiedImage, ImageCache } from '../vision/image-cache.ts';
import type { ImagePart } from '../vision/image-decoder.ts';
import type { NamedTensors, PromptImage } from '../vision/vision-inputs.ts';
import type { EncodeTurns } from './chat-template.ts';
import { checkTokens } from './check-tokens.ts';
import type { Processor, Prompt } from './processor.ts';

/** What a family makes of an image. */
export interface PlannedImage {
  /** How it is split and scaled: with a hash of the pixels, this identifies the features. */
  variant: string;
  plan: SplitPlan;
  /** Feature rows of all crops together. */
  tokens: number;
  /** What stands for it in the prompt, instead of the template's placeholder. */
  prompt: string;
  /** The vision encoder's inputs for some crops, whose values are given. */
  inputs(values: Float32Array<ArrayBuffer> | GPUBuffer, first: number, count: number): NamedTensors;
}

/** What differs between the processors of families. */
export interface ImageFamily<Planned extends PlannedImage> extends Pick<
  Processor,
  'config' | 'tokenizer' | 'imageTokenId' | 'encoderInputs'
> {
  encodeTurns: EncodeTurns;
  /** The chat template's text for an image. */
  placeholder: string;
  /** @throws NearsightError `unreadable_image` for an image that the family cannot read */
  planImage(image: IdentifiedImage, param: string): Planned;
  /** The positions of the prompt's tokens, for models that do not count them one by one. */
  positions?(ids: Int32Array, images: readonly Planned[]): Prompt['positions'];
}

/** The processor of a family: identifies the images of a chat, and renders the prompt with what stands for them. */
export function processorOf<Planned extends PlannedImage>(
  { encodeTurns, placeholder, planImage, positions, ...rest }: ImageFamily<Planned>,
  cache: ImageCache,
): Processor {
  return {
    ...rest,
    async encodeChat(turns, maxPixels, useCache, signal) {
      const parts = turns.flatMap((turn) => turn.parts.filter((part): part is ImagePart => part.type === 'image'));
      const identified = await cache.identify(parts, maxPixels, useCache, signal);
      const planned = identified.map((image, at) => planImage(image, parts[at]!.param));
      const prompts = planned.map(({ prompt }) => prompt);
      const ids = encodeTurns(turns, placeholder, prompts);
      checkTokens(ids, rest.config.vocab);
      const images = identified.map((image, at) => promptImage(image, planned[at]!));
      return { ids, images, ...(positions && { positions: positions(ids, planned) }) };
    },
    forget: () => cache.forget(),
  };
}

function promptImage(image: IdentifiedImage, { variant, plan, tokens, inputs }: PlannedImage): PromptImage {
  return {
    key: `${image.width}x${image.height}/${variant}/${image.hash}`,
    crops: plan.crops.length,
    tokens,
    async open(splitter, signal) {
      const pixels = await image.pixels();
      signal.throwIfAborted();
      const crops = splitter.split(pixels, plan);
      return {
        batch: async (first, count) => inputs(await crops.batch(first, count), first, count),
        close: () => crops.close(),
      };
    },
  };
}
