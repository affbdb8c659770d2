// @module-tag nightly
import { test } from 'vitest';
import { compareRegexes } from './generated-regex.ts';

test.each([1, 2, 3, 4])('generated regular expressions match what they match in JavaScript: part %i', (part) => {
  compareRegexes(Array.from({ length: 100 }, (_, index) => 100 * part + index));
});
