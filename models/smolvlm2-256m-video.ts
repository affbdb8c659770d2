import type { ModelSpec } from '../src/protocol/model-spec.ts';
import { file, variants } from './hub-files.ts';

/**
 * SmolVLM2-256M-Video-Instruct by Hugging Face (Apache-2.0), as published on their hub: about 190 MB with `shader-f16`, else
 * about 210 MB.
 *
 * Frames of a video are images with `detail: 'low'`. The prompt is the reference's if the message has, in this order: the text
 * `You are provided the following series of three frames from a 0:01:03 [H:MM:SS] video.\n`; for each frame the text
 * `\nFrame from 00:01:` and its image; the text `\n\n`; the question.
 */
export const smolvlm2Video256m: ModelSpec = {
  format: 1,
  id: 'smolvlm2-256m-video',
  modelType: 'smolvlm',
  repository: 'HuggingFaceTB/SmolVLM2-256M-Video-Instruct',
  revision: '067788b187b95ebe7b2e040b3e4299e342e5b8fd',
  contextLength: 8192,
  // The sizes are SmolVLM-256M's, and so is the speed.
  wasm: 'ok',
  licence: { spdx: 'Apache-2.0', restricted: false },
  description:
    'Describes photos and single frames of videos, and answers short questions about them; trained on videos too',
  // The chat template is in tokenizer_config.json.
  files: [
    file('config.json', 3_812, '756cb7d37d7659c9d5a71c563f9d2530f9dd674ab7e909d8d0dd5b1a2d3e8317'),
    file('generation_config.json', 136, '34835060c9f0f74d1acb456cc72ca32746d3843d9eb5f578f9cbffac1d2eb840'),
    file('preprocessor_config.json', 599, '149e315d9410368e5491455bb06e0f763426e9e56cca731c13b24404a29b6374'),
    file('processor_config.json', 67, 'f3ad45028447b3562b4752be0d5916d6806c1ef589091a469608dcf0faa1737c'),
    file('tokenizer.json', 3_548_256, '5ece781dc8d2b2f3e2f289ca0ae50b17cfc27dd27bfe7971bb8241e0b964331a'),
    file('tokenizer_config.json', 28_626, 'dd9ce2ab89a3dd881bd9378f1a79b943a064b9275a7e1706d5b7b47b68977913'),
  ],
  variants: variants([56_770_965, 'f70ed24f9f21e0d9999151282aef893861bf08f96b5ad1658fb71ffd51e26784'], {
    q4f16: {
      vision: [55_037_541, 'e0b4747edcc23de250266264ce8e5cb3e010cf80755933efca7052da53871818'],
      decoder: [77_366_473, '6c9032242ea8d440e6d53f31e7a1216cf94a98b5b909b1a718d68dc2983c0398'],
    },
    q4: {
      vision: [63_784_944, '253d225bf96b6203118d16e57bb2890c2dc542dd989d484cb9541dc4d4ae719b'],
      decoder: [86_894_835, 'ce4021b8e2242cbd4caac06b259e1b15e085c6a4b900af40f1e0abec7a6c6df2'],
    },
  }),
};
