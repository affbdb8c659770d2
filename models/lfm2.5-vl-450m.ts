import type { ModelSpec } from '../src/protocol/model-spec.ts';
import { RESTRICTED } from '../src/protocol/restricted-licences.ts';

/**
 * LFM2.5-VL-450M by Liquid AI, as published on their hub: about 680 MB. **Its licence restricts commercial use**: show it
 * before you download the model.
 *
 * Printed by `npm run catalogue` from the listing in test/fixtures/hub; id, licence and description are ours.
 */
export const lfm25Vl450m: ModelSpec = {
  format: 1,
  id: 'lfm2.5-vl-450m',
  modelType: 'lfm2_vl',
  repository: 'LiquidAI/LFM2.5-VL-450M-ONNX',
  revision: '95c283d4497a56477a83177079fa6b7121abb1b1',
  files: [
    { path: 'config.json', bytes: 2_540, sha256: '0827f68c3099103cc2c49235508e38fb4ce1f0fe1aa97f45ed19f7dbb9e30dfa' },
    {
      path: 'generation_config.json',
      bytes: 131,
      sha256: '0b428903afb9a1cc2d4993f806c6e4689360fa557d31343ffce31f341619528f',
    },
    {
      path: 'preprocessor_config.json',
      bytes: 732,
      sha256: '5af96934bef15c4fdb69752c9b5de3918e237d5e50ca5d9191f1cf01706c57ca',
    },
    {
      path: 'processor_config.json',
      bytes: 828,
      sha256: '622b75b531b3f49b1cdf4f90626c34e5ffb4f8bba2b8637807af0462398ae718',
    },
    {
      path: 'chat_template.jinja',
      bytes: 3_836,
      sha256: '309e586e2eda3d7f2db1e2a045bfb07f4c83798b23f7ac587954426302d508e9',
    },
    {
      path: 'tokenizer.json',
      bytes: 4_733_040,
      sha256: 'f3910942aa907c48b0cc20ec426ee38bfa8dcda8feecf035ced981918cb30f14',
    },
    {
      path: 'tokenizer_config.json',
      bytes: 4_816,
      sha256: '3013ff2da8f0fd18c053bf9fcc5411ee11607921e094781daf4ce109f217fd26',
    },
  ],
  variants: [
    {
      dtype: 'q4',
      devices: ['webgpu', 'wasm'],
      f16: false,
      graphs: {
        vision: {
          file: {
            path: 'onnx/vision_encoder_q4.onnx',
            bytes: 144_897,
            sha256: '6d4ca528b39be9473a2e483fd8c383bf444423135db087f22a65d672b90737f0',
          },
          data: [
            {
              path: 'onnx/vision_encoder_q4.onnx_data',
              bytes: 59_982_848,
              sha256: '0c46c194ac38dc7050c5729296d2ac80c25848d0f3895bf29e0e05b481b8a731',
            },
          ],
        },
        embed: {
          file: {
            path: 'onnx/embed_tokens_fp16.onnx',
            bytes: 573,
            sha256: '291d72b491d3187f3cafbb0ec35c5f889360a044d7db815510eff0fabb2af371',
          },
          data: [
            {
              path: 'onnx/embed_tokens_fp16.onnx_data',
              bytes: 134_217_728,
              sha256: '6936dd14d4e0fa29f4046159dfa5738363f020216ed39a2ed14d276d8d473aa6',
            },
          ],
        },
        decoder: {
          file: {
            path: 'onnx/decoder_model_merged_q4.onnx',
            bytes: 171_898,
            sha256: '26600302bd9db0ef26d1a98fba0aae22dac99468e2195ce6d9b9bc7308c18f68',
          },
          data: [
            {
              path: 'onnx/decoder_model_merged_q4.onnx_data',
              bytes: 481_030_144,
              sha256: 'b930a8ec51f6326c1b5e09e38fd0162fc69840b2f9b926025948a58a4e962c7d',
            },
          ],
        },
      },
    },
  ],
  contextLength: 128_000,
  wasm: 'slow',
  licence: RESTRICTED['lfm1.0'],
  description: 'Answers questions about images, reads text in them and draws boxes around things, in nine languages',
};
