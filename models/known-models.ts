import type { HubModel, ModelFile, ModelLicence, ModelSpec, ModelVariant } from '../src/protocol/model-spec.ts';
import { RESTRICTED } from '../src/protocol/restricted-licences.ts';
import { lfm25Vl450m } from './lfm2.5-vl-450m.ts';
import { smolvlm256m } from './smolvlm-256m.ts';
import { smolvlm2Video256m } from './smolvlm2-256m-video.ts';

/** What a page can say about a model before anything is asked of the hub. */
export interface KnownModel {
  /** As on its card. */
  name: string;
  /**
   * What `createNearsight` takes as `model`: a spec, whose hashes are pinned, or a repository, whose hashes are recorded when it
   * is first used.
   */
  model: ModelSpec | HubModel;
  /** `model_type` of its `config.json`. */
  modelType: string;
  /** What runs it: `onnx` is the fast path, `transformers` the engine for all other families. */
  engine: 'onnx' | 'transformers';
  /** What it is good at, in one line. */
  goodAt: string;
  licence: ModelLicence;
  /** The download where the GPU has `shader-f16`, and elsewhere; absent if nobody has told. */
  bytes?: { f16: number; other: number } | undefined;
  /**
   * What was run here. No hub could be reached, so of no model the real weights: `shapes`, its own graphs with random weights;
   * `layout`, a tiny model with random weights in the layout of its files; `nothing`.
   */
  tried: 'shapes' | 'layout' | 'nothing';
}

const APACHE: ModelLicence = { spdx: 'Apache-2.0', restricted: false };

function pinned(spec: ModelSpec, facts: Pick<KnownModel, 'name' | 'engine' | 'goodAt' | 'tried'>): KnownModel {
  const total = (of: ModelVariant | undefined): number =>
    [
      ...spec.files,
      ...Object.values(of?.graphs ?? {}).flatMap(({ file, data }): ModelFile[] => [file, ...data]),
    ].reduce((sum, { bytes }) => sum + bytes, 0);
  const other = total(spec.variants.find(({ f16 }) => !f16));
  const { modelType, licence } = spec;
  return { ...facts, model: spec, modelType, licence, bytes: { f16: total(spec.variants[0]), other } };
}

/** The models that we know of on the hub, the smallest download first. */
export const knownModels: readonly KnownModel[] = [
  /* @__PURE__ */ pinned(smolvlm256m, {
    name: 'SmolVLM-256M',
    engine: 'onnx',
    goodAt: 'The smallest: describes photos, reads large text, answers short questions',
    tried: 'shapes',
  }),
  /* @__PURE__ */ pinned(smolvlm2Video256m, {
    name: 'SmolVLM2-256M',
    engine: 'onnx',
    goodAt: 'Describes photos and single frames of videos',
    tried: 'layout',
  }),
  {
    name: 'SmolDocling-256M',
    model: { hub: 'ds4sd/SmolDocling-256M-preview' },
    modelType: 'idefics3',
    engine: 'onnx',
    goodAt: 'Turns a page into DocTags; Granite-Docling is its successor',
    licence: { spdx: 'CDLA-Permissive-2.0', restricted: false },
    tried: 'nothing',
  },
  {
    name: 'Granite-Docling-258M',
    model: { hub: 'onnx-community/granite-docling-258M-ONNX' },
    modelType: 'idefics3',
    engine: 'onnx',
    goodAt: 'Turns a page into DocTags, with tables, formulas and code; its prompt is "Convert this page to docling"',
    licence: APACHE,
    bytes: { f16: 264_300_000, other: 284_400_000 },
    tried: 'layout',
  },
  {
    name: 'LFM2-VL-450M',
    model: { hub: 'onnx-community/LFM2-VL-450M-ONNX' },
    modelType: 'lfm2_vl',
    engine: 'transformers',
    goodAt: 'General chat about images in English, at half the bytes of LFM2.5',
    licence: RESTRICTED['lfm1.0'],
    bytes: { f16: 316_000_000, other: 316_000_000 },
    tried: 'layout',
  },
  {
    name: 'SmolVLM-500M',
    model: { hub: 'HuggingFaceTB/SmolVLM-500M-Instruct', revision: 'a7da5b986cb59b408707209984f360a5f4ad7e47' },
    modelType: 'idefics3',
    engine: 'onnx',
    goodAt: 'General chat about images, with fewer mistakes than the 256M models',
    licence: APACHE,
    bytes: { f16: 357_638_262, other: 390_500_000 },
    tried: 'layout',
  },
  {
    name: 'SmolVLM2-500M',
    model: {
      hub: 'HuggingFaceTB/SmolVLM2-500M-Video-Instruct',
      revision: '7b375e1b73b11138ff12fe22c8f2822d8fe03467',
    },
    modelType: 'smolvlm',
    engine: 'onnx',
    goodAt: 'Photos and frames of videos, with fewer mistakes than the 256M models',
    licence: APACHE,
    bytes: { f16: 357_638_262, other: 390_500_000 },
    tried: 'layout',
  },
  /* @__PURE__ */ pinned(lfm25Vl450m, {
    name: 'LFM2.5-VL-450M',
    engine: 'transformers',
    goodAt: 'The best of its size: questions, text in images, boxes around things, nine languages',
    tried: 'layout',
  }),
  {
    name: 'Qwen3.5-0.8B',
    model: { hub: 'onnx-community/Qwen3.5-0.8B-ONNX-OPT', revision: 'fafab72d87a9e6be3925b38caf48286d2838f2d0' },
    modelType: 'qwen3_5',
    engine: 'transformers',
    goodAt: 'The best answers under 1 GB: reads, reasons, many languages',
    licence: APACHE,
    bytes: { f16: 715_600_000, other: 715_600_000 },
    tried: 'layout',
  },
  {
    name: 'LightOnOCR-2-1B',
    model: { hub: 'onnx-community/LightOnOCR-2-1B-ONNX', revision: '2e2ecebebd69beaa3c38822c2927611eba811bd2' },
    modelType: 'lighton_ocr',
    engine: 'transformers',
    goodAt: 'Turns a page into Markdown',
    licence: APACHE,
    bytes: { f16: 755_400_000, other: 755_400_000 },
    tried: 'nothing',
  },
  {
    name: 'FastVLM-0.5B',
    model: { hub: 'onnx-community/FastVLM-0.5B-ONNX' },
    modelType: 'llava_qwen2',
    engine: 'transformers',
    goodAt: 'Short prompts: an image of 1,024 pixels is 256 tokens',
    licence: RESTRICTED['apple-amlr'],
    bytes: { f16: 810_000_000, other: 810_000_000 },
    tried: 'layout',
  },
  {
    name: 'Qwen3-VL-2B',
    model: { hub: 'onnx-community/Qwen3-VL-2B-Instruct-ONNX', revision: '3e4136ea66ae6e07c110e64fe07da2e029517ab5' },
    modelType: 'qwen3_vl',
    engine: 'transformers',
    goodAt: 'The strongest under 2 GB: documents, reasoning, many languages',
    licence: APACHE,
    bytes: { f16: 1_525_000_000, other: 1_525_000_000 },
    tried: 'nothing',
  },
];
