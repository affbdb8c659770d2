import { describe, expect, it } from 'vitest';
import { licenceOf } from '../../../worker/hub/hub-licence.ts';
import { findVariants } from '../../../worker/hub/hub-variants.ts';

const listing = (...paths: string[]) =>
  new Map(paths.map((path) => [`onnx/${path}`, { path: `onnx/${path}`, bytes: 1 }]));
const graphs = (suffix: string) =>
  ['vision_encoder', 'embed_tokens', 'decoder_model_merged'].map((name) => `${name}${suffix}.onnx`);
const dtypes = (...suffixes: string[]) =>
  findVariants(listing(...suffixes.flatMap(graphs)), undefined).map(({ dtype }) => dtype);

describe('the graphs of a repository', () => {
  it('are preferred small, up to the first that runs everywhere', () => {
    expect(dtypes('', '_fp16', '_q4', '_q4f16', '_int8')).toEqual(['q4f16', 'q4']);
    expect(dtypes('', '_fp16')).toEqual(['fp16', 'fp32']);
    expect(dtypes('_int8', '_bnb4')).toEqual(['int8', 'bnb4']);
    // A GPU needs full precision, where wasm runs 8 bits.
    expect(dtypes('', '_uint8', '_quantized')).toEqual(['quantized', 'uint8', 'fp32']);
    expect(dtypes('', '_fp16', '_int8')).toEqual(['fp16', 'fp32']);
    expect(findVariants(listing(...graphs(''), ...graphs('_int8')), 'int8')[0]).toMatchObject({
      devices: ['wasm'],
      f16: false,
    });
  });

  it('need all three', () => {
    const some = graphs('_q4').slice(0, 2);
    expect(() => findVariants(listing(...some), undefined)).toThrow('no complete set of graphs');
    // A table of another precision will do.
    const files = listing(
      ...some.filter((name) => !name.startsWith('embed')),
      'decoder_model_merged_q4.onnx',
      'embed_tokens_fp16.onnx',
    );
    expect(findVariants(files, undefined)[0]?.graphs.embed).toEqual(['onnx/embed_tokens_fp16.onnx']);
  });

  it('have their data beside them, in a chain without gaps', () => {
    const files = listing(
      ...graphs('_q4'),
      'decoder_model_merged_q4.onnx_data',
      'decoder_model_merged_q4.onnx_data_1',
      'decoder_model_merged_q4.onnx_data_3',
      'vision_encoder_q4.onnx_data',
      'vision_encoder.onnx_data',
    );
    expect(findVariants(files, undefined)[0]?.graphs).toEqual({
      vision: ['onnx/vision_encoder_q4.onnx', 'onnx/vision_encoder_q4.onnx_data'],
      embed: ['onnx/embed_tokens_q4.onnx'],
      decoder: [
        'onnx/decoder_model_merged_q4.onnx',
        'onnx/decoder_model_merged_q4.onnx_data',
        'onnx/decoder_model_merged_q4.onnx_data_1',
      ],
    });
  });

  it('have the smallest table of embeddings that there is', () => {
    const sized = (sizes: Record<string, number>) => {
      const table = (suffix: string) => `onnx/embed_tokens${suffix}.onnx`;
      const files = listing(...graphs('_q4').filter((name) => !name.startsWith('embed')));
      for (const [suffix, bytes] of Object.entries(sizes)) files.set(table(suffix), { path: table(suffix), bytes });
      return findVariants(files, undefined)[0]?.graphs.embed;
    };
    // SmolVLM's table in 4 bits is in full precision, Qwen's is really in 4 bits.
    expect(sized({ _q4: 113, _q4f16: 57, _fp16: 57, '': 113 })).toEqual(['onnx/embed_tokens_q4f16.onnx']);
    expect(sized({ _q4: 163, _fp16: 508, '': 1017 })).toEqual(['onnx/embed_tokens_q4.onnx']);
    // Scales in half precision make it a little smaller, and unusable on a GPU without `shader-f16`.
    expect(sized({ _q4: 163, _q4f16: 147, _fp16: 508 })).toEqual(['onnx/embed_tokens_q4.onnx']);
    expect(sized({ _q4f16: 147, _fp16: 508 })).toEqual(['onnx/embed_tokens_q4f16.onnx']);
    expect(sized({ _fp16: 134, '': 268 })).toEqual(['onnx/embed_tokens_fp16.onnx']);
  });
});

describe('the licence of a repository', () => {
  it('is that of its card, and restricted unless it is known to be open', () => {
    expect(licenceOf({ cardData: { license: 'mit' } })).toEqual({ spdx: 'MIT', restricted: false });
    expect(licenceOf({ tags: ['onnx', 'license:apache-2.0'] })).toEqual({ spdx: 'Apache-2.0', restricted: false });
    const own = { license: 'other', license_name: 'own1.0', license_link: 'https://example.test/LICENSE' };
    expect(licenceOf({ cardData: own })).toEqual({ name: 'own1.0', url: own.license_link, restricted: true });
    expect(licenceOf({ cardData: { ...own, license_link: 'javascript:alert(1)' } })).toEqual({
      name: 'own1.0',
      restricted: true,
    });
    expect(licenceOf({ cardData: { license: 'x'.repeat(1000) } })).toEqual({ name: 'unknown', restricted: true });
    expect(licenceOf({ cardData: { license: 'constructor' } })).toEqual({ name: 'constructor', restricted: true });
    expect(licenceOf({})).toEqual({ name: 'unknown', restricted: true });
  });

  it('says what a known one restricts, whatever the card links to', () => {
    expect(licenceOf({ cardData: { license: 'gemma' } })).toMatchObject({
      name: 'Gemma Terms of Use',
      restricted: true,
    });
    expect(licenceOf({ tags: ['license:apple-amlr'] }).restriction).toContain('research only');
    const lfm = { license: 'other', license_name: 'lfm1.0', license_link: 'https://example.test/' };
    expect(licenceOf({ cardData: lfm })).toMatchObject({
      url: expect.stringContaining('liquid.ai') as string,
      restriction: expect.stringContaining('10 million') as string,
    });
  });
});
