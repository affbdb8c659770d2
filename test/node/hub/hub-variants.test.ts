import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
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

  const shared = process.env['NEARSIGHT_SHARED'] ?? fileURLToPath(new URL('../../../../shared', import.meta.url));
  const lists = join(shared, 'models/catalogues/LFM2.5-VL-450M/hub-files.tsv');
  it.skipIf(!existsSync(lists))('are found in a real listing with external data (needs NEARSIGHT_SHARED)', () => {
    const paths = readFileSync(lists, 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('onnx/'));
    const files = new Map(paths.map((line) => [line.split('\t')[0] ?? '', { path: line, bytes: 1 }]));
    expect(findVariants(files, undefined)).toMatchObject([
      {
        dtype: 'q4',
        graphs: {
          vision: ['onnx/vision_encoder_q4.onnx', 'onnx/vision_encoder_q4.onnx_data'],
          embed: ['onnx/embed_tokens_fp16.onnx', 'onnx/embed_tokens_fp16.onnx_data'],
          decoder: ['onnx/decoder_model_merged_q4.onnx', 'onnx/decoder_model_merged_q4.onnx_data'],
        },
      },
    ]);
  });
});

describe('the licence of a repository', () => {
  it('is that of its card, and restricted unless it is known to be open', () => {
    expect(licenceOf({ cardData: { license: 'mit' } })).toEqual({ spdx: 'MIT', restricted: false });
    expect(licenceOf({ tags: ['onnx', 'license:apache-2.0'] })).toEqual({ spdx: 'Apache-2.0', restricted: false });
    expect(licenceOf({ cardData: { license: 'gemma' } })).toEqual({ name: 'gemma', restricted: true });
    const own = { license: 'other', license_name: 'lfm1.0', license_link: 'https://example.test/LICENSE' };
    expect(licenceOf({ cardData: own })).toEqual({ name: 'lfm1.0', url: own.license_link, restricted: true });
    expect(licenceOf({ cardData: { ...own, license_link: 'javascript:alert(1)' } })).toEqual({
      name: 'lfm1.0',
      restricted: true,
    });
    expect(licenceOf({ cardData: { license: 'x'.repeat(1000) } })).toEqual({ name: 'unknown', restricted: true });
    expect(licenceOf({ cardData: { license: 'constructor' } })).toEqual({ name: 'constructor', restricted: true });
    expect(licenceOf({})).toEqual({ name: 'unknown', restricted: true });
  });
});
