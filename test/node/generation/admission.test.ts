import { expect, test } from 'vitest';
import { admit } from '../../../worker/generation/admission.ts';
import type { Prompt } from '../../../worker/families/processor.ts';
import { imageOfValues } from '../engines/test-images.ts';

function prompt(ids: number, ...imageTokens: number[]): Prompt {
  const images = imageTokens.map((tokens) => imageOfValues({ key: '', crops: 1, tokens }, 1, new Float32Array(3)));
  return { ids: new Int32Array(ids), images };
}

test('an answer may fill the context up to its last token', () => {
  expect(admit(prompt(90), 10, 100)).toBe(10);
  expect(admit(prompt(90), undefined, 100)).toBe(10);
  expect(admit(prompt(99), undefined, 100)).toBe(1);
});

test('one more token is refused with the counts and a remedy', () => {
  expect(() => admit(prompt(90), 11, 100)).toThrow(
    "This model's context is 100 tokens. The request needs 101: 90 in the messages, 11 for the answer. " +
      'Send less text, fewer messages or a smaller max_tokens.',
  );
  expect(() => admit(prompt(90), 11, 100)).toThrow(expect.objectContaining({ param: 'max_tokens' }));
  expect(() => admit(prompt(100), undefined, 100)).toThrow(
    expect.objectContaining({
      code: 'context_length_exceeded',
      param: 'messages',
      message: expect.stringMatching(/Send less text or fewer messages\.$/),
    }),
  );
});

test('so is a shortest answer that does not fit', () => {
  expect(admit(prompt(90), undefined, 100, 10)).toBe(10);
  expect(() => admit(prompt(90), undefined, 100, 11)).toThrow(
    expect.objectContaining({
      code: 'context_length_exceeded',
      param: 'min_tokens',
      message: expect.stringMatching(/needs 101: .* a smaller min_tokens\.$/),
    }),
  );
});

test('the message counts the tokens of images, and suggests fewer if they take most of the context', () => {
  expect(() => admit(prompt(1200, 1088, 64), 10, 1024)).toThrow(
    "1200 in the messages, 1152 of them in 2 images, 10 for the answer. Send fewer images or detail 'low'.",
  );
});
