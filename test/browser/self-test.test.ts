import { expect, test } from 'vitest';
import { browserName } from './harness/harness.ts';
import { openLab } from './harness/test-page.ts';
import type { Plan } from './harness/fault-injection.ts';

test('a GPU that computes an image wrongly is refused, with the difference', async () => {
  await using page = await openLab({ plan: { wrong: 1000 } });
  const result = await page.evaluate(async () => {
    const near = lab.make('webgpu');
    const refused = await near.load().then(() => '', String);
    const { state } = near.status.value;
    const response = await lab.errorOf(await lab.ask(near));
    near.dispose();
    return { refused, state, response };
  });
  expect(result.refused).toMatch(/computes it wrongly \(webgpu q4, an image's features differ from the CPU's by /);
  expect(result.state).toBe('failed');
  expect(result.response).toEqual({ status: 503, code: 'unsupported_device' });
});

/** Kernels as Chromium's adapter gets them, each wrong in its own way, and what is found to be wrong. */
const FAULTS: [NonNullable<Plan['kernel']>, string][] = [
  [['MatMulNBitsWideTile', 'output_element_t(8)', 'output_element_t(7)'], "an image's features differ from the CPU's"],
  // Right for the first 32 keys.
  [['FlashAttention', 'o_tile[i] * q_element_t(o_ratio)', 'o_tile[i]'], "an image's features differ from the CPU's"],
  [['SkipLayerNorm', 'inverseSqrt(', '0.99 * inverseSqrt('], "logits after 65 rows differ from the CPU's"],
  // Rows that are read alone have kernels of their own.
  [
    ['MlpDecode', 'output_element_t(8)', 'output_element_t(7)'],
    "logits after 48 and 16 and 1 rows differ from the CPU's",
  ],
];

// Mesa's renderer compiles for a minute before it comes to the decoder, and has the other attention.
test.each(browserName === 'firefox' ? FAULTS.slice(0, 1) : FAULTS)(
  'a wrong kernel is found: %o',
  async (kernel, what) => {
    await using page = await openLab({ plan: { kernel } });
    const refused = await page.evaluate(async () => {
      const near = lab.make('webgpu');
      const error = await near.load().then(() => '', String);
      near.dispose();
      return error;
    });
    expect(refused).toContain(`computes it wrongly (webgpu q4, ${what}`);
  },
);

test('what was computed wrongly once gives way to the next variant, and the facts say so', async () => {
  // The second variant is the same files once more: float16 is not to be had in both browsers.
  await using page = await openLab({ plan: { wrong: 1 } });
  const facts = await page.evaluate(async () => {
    const [first] = glimpse.variants;
    const model = { ...glimpse, variants: [first!, { ...first!, dtype: 'again' }] };
    const near = nearsight.createNearsight({ model, device: 'webgpu' });
    const opened = await near.load();
    const works = await lab.works(near);
    near.dispose();
    return { ...opened, works };
  });
  expect(facts).toMatchObject({ device: 'webgpu', dtype: 'again', works: true });
  expect(facts.reason).toContain("failed there: webgpu q4, an image's features differ");
});

// Firefox would compile the kernels that graphics cards get for a quarter of an hour: Mesa's renderer is spared them.
test.skipIf(browserName === 'firefox')('in the end, `auto` takes wasm', async () => {
  await using page = await openLab({ plan: { wrong: 1000, card: true } });
  const facts = await page.evaluate(async () => {
    const near = nearsight.createNearsight({ model: glimpse, device: 'auto' });
    const progress: boolean[] = [];
    near.status.subscribe((value) => {
      if (value.state === 'downloading') progress.push(value.loadedBytes <= value.totalBytes);
    });
    const opened = await near.load();
    const works = await lab.works(near);
    near.dispose();
    return { ...opened, works, progress: progress.every(Boolean) };
  });
  expect(facts).toMatchObject({ device: 'wasm', dtype: 'q4', works: true, progress: true });
  expect(facts.reason).toContain('failed there: webgpu q4');
});
