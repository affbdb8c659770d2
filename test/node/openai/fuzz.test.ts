import { expect, it } from 'vitest';
import { fuzz } from './fuzz.ts';

it('answers 2,000 broken requests with a 200 or a typed 4xx', { timeout: 60_000 }, async () => {
  const { answered, refused } = await fuzz(20260823, 2000);
  // Both kinds must be well represented, or the mutations are too wild or too tame to find anything.
  expect(answered).toBeGreaterThan(200);
  expect(refused).toBeGreaterThan(200);
});
