import { expect, test } from 'vitest';
import { refusalOf } from '../../../demo/failure.ts';

test('a refusal is not said twice', () => {
  const reason = 'org/model.v2 cannot run here: there is no WebGPU adapter here.';
  expect(refusalOf({ verdict: 'no', reason })).toBe('there is no WebGPU adapter here.');
  expect(refusalOf({ verdict: 'no', reason: 'This page has no workers.' })).toBe('This page has no workers.');
});
