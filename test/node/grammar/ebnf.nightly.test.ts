// @module-tag nightly
import { expect, test } from 'vitest';
import { compareGrammars } from './generated-grammar.ts';

test.each([1, 2, 3, 4])('generated grammars match what a simple recogniser finds: part %i', (part) => {
  expect(compareGrammars(Array.from({ length: 60 }, (_, index) => 100 * part + index))).toBeGreaterThan(40);
});
