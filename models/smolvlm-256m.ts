import type { ModelSpec } from '../src/protocol/model-spec.ts';
import { file, variants } from './hub-files.ts';

/**
 * SmolVLM-256M-Instruct by Hugging Face (Apache-2.0), as published on their hub: about 190 MB with `shader-f16`, else
 * about 210 MB. Serve the files yourself with `{ ...smolvlm256m, baseURL: '/models/smolvlm-256m/' }`.
 */
export const smolvlm256m: ModelSpec = {
  format: 1,
  id: 'smolvlm-256m',
  modelType: 'idefics3',
  repository: 'HuggingFaceTB/SmolVLM-256M-Instruct',
  revision: '7e3e67edbbed1bf9888184d9df282b700a323964',
  contextLength: 8192,
  // Measured on two cores: 3.5 s to the first token with a whole image, then 50 tokens a second; 9 where memory is short.
  wasm: 'ok',
  licence: { spdx: 'Apache-2.0', restricted: false },
  description: 'Describes photos, reads large text in them, and answers short questions about them, in English',
  files: [
    file('config.json', 7_353, 'b70fb4bfde88df9eeebc9d8ff523733b8bf70d6c9b06c610325960e06ae9db52'),
    file('generation_config.json', 136, '067a2a54e5f87162ecac6e0e911cc4665fc8f7f3324794ecbac0f76badb56636'),
    file('preprocessor_config.json', 486, '6cb6e36d6fcb88ca1502c4a26750715dc3e7dedddc9a8f17b27d8d167d1457e7'),
    file('processor_config.json', 68, 'e7bff42da73ae9eec9042ef20e066e11f1ee20f025358ff79131e3c0fb549b46'),
    file('chat_template.json', 429, 'a68ad1a42681ae44eacd109ff8dd56a840f761c03d72f4ff4c515d092f882168'),
    file('tokenizer.json', 3_548_256, '5ece781dc8d2b2f3e2f289ca0ae50b17cfc27dd27bfe7971bb8241e0b964331a'),
    file('tokenizer_config.json', 28_249, '36c6fd44d07d10fd8180ee6b46dcccf69fb7c06753968ff0d7e17b8bfe17b777'),
  ],
  variants: variants([56_770_965, 'd810e0849eda8128be2d9cf1a2be9ca0bd8e5bfbe5bf972f60ea8e2a566f6bfe'], {
    q4f16: {
      vision: [55_037_584, '13c301dc0cbc79c8c23badc699129b47d05ba044e2274ca8a94681fcd4205fc1'],
      decoder: [77_034_560, '0a6b4e72e26025c190f37e2573ea2ce3336d95670da9c4b1fa662e47cc3d94a7'],
    },
    q4: {
      vision: [63_784_987, '95814e6629ec465e7cf98a44edcee67abc06d41faa0d1acc410cf8a956cab488'],
      decoder: [86_562_901, 'e3fd81130e30715580cf148398e48e2925b6219bff75e17d2a77add35a363f65'],
    },
  }),
};
