import { Tensor } from 'onnxruntime-node';
import { expect, test } from 'vitest';
import { FeatureCache } from '../../../worker/vision/feature-cache.ts';

const ROWS = 100;

function features(type: 'float16' | 'float32'): Tensor {
  return type === 'float16'
    ? new Tensor(type, new Uint16Array(ROWS), [1, ROWS, 1])
    : new Tensor(type, new Float32Array(ROWS), [1, ROWS, 1]);
}

test.each([
  ['float32', 4],
  ['float16', 2],
] as const)('features in %s take %i bytes an element', (type, bytes) => {
  const cache = new FeatureCache();
  cache.set('one', [features(type)]);
  cache.set('other', [features(type), features(type)]);
  expect(cache.trim(3 * ROWS * bytes)).toBe(false);
  expect(cache.trim(3 * ROWS * bytes - 1)).toBe(true);
  expect(cache.get('one')).toBeUndefined();
  expect(cache.get('other')).toHaveLength(2);
});

test('the least recently used features are evicted first', () => {
  const cache = new FeatureCache();
  for (const key of ['one', 'two', 'three']) cache.set(key, [features('float32')]);
  cache.get('one');
  cache.trim(2 * ROWS * 4);
  expect(['one', 'two', 'three'].filter((key) => cache.get(key))).toEqual(['one', 'three']);
  cache.forget([{ key: 'three' }, { key: 'unknown' }]);
  expect(cache.get('three')).toBeUndefined();
  cache.forget();
  expect(cache.get('one')).toBeUndefined();
  expect(cache.trim(0)).toBe(false);
});
