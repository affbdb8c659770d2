// @module-tag long
import { expect, it } from 'vitest';
import { runSeed } from '../../random.ts';
import { fuzz } from './fuzz.ts';

it('answers 20,000 broken requests with a 200 or a typed 4xx', { timeout: 600_000 }, async () => {
  const { answered, refused } = await fuzz(runSeed(), 20_000);
  expect(answered + refused).toBe(20_000);
});
