import { pathToFileURL } from 'node:url';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { loadOrt } from '../../../worker/onnx/ort.ts';
import { evaluator, Session } from '../../../worker/onnx/ort-session.ts';
import { optimizeDecoder } from '../../../worker/onnx/optimize/optimize-decoder.ts';
import type { MemoryBudget } from '../../../worker/onnx/optimize/dequantize-weights.ts';
import {
  openDequantized,
  estimateMemoryBudget,
  type OpenedDecoder,
} from '../../../worker/engines/onnx/dequantized-decoder.ts';
import { glimpse, singleFile } from '../onnx/optimize-graphs.ts';

const desktop = 'Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0';
const phone = 'Mozilla/5.0 (Android 15; Mobile; rv:153.0) Gecko/153.0 Firefox/153.0';
const mac =
  'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15';

/** Bytes of SmolVLM-256M's dequantized decoder. */
const DEQUANTIZED_BYTES = 538_214_400;

describe('which devices get the memory budget for a dequantized SmolVLM-256M', () => {
  test.each([
    ['as much memory as needed', { deviceMemory: 8 }, undefined],
    ['more', { deviceMemory: 32 }, undefined],
    ['less', { deviceMemory: 4 }, 'navigator.deviceMemory is 4, not 8'],
    ['Firefox on a desktop, which does not tell its memory', { userAgent: desktop }, undefined],
    ['Firefox on a phone', { userAgent: phone }, 'this browser does not tell how much memory there is'],
    ['Safari', { userAgent: mac }, 'this browser does not tell how much memory there is'],
    ['an unknown browser', {}, 'this browser does not tell how much memory there is'],
  ])('%s', (_, browser, why) => {
    const budget = estimateMemoryBudget(browser);
    expect(budget.reason).toBe(why);
    if (why === undefined) expect(budget.bytes).toBeGreaterThan(DEQUANTIZED_BYTES);
    else expect(budget.bytes).toBeLessThan(DEQUANTIZED_BYTES);
    // glimpse's 4 MB fit anywhere.
    expect(budget.bytes).toBeGreaterThan(5e6);
  });
});

describe('glimpse on wasm', () => {
  afterEach(() => void vi.restoreAllMocks());

  async function open(budget: MemoryBudget): Promise<OpenedDecoder> {
    const ort = await loadOrt('wasm', pathToFileURL('node_modules/onnxruntime-web/dist/').href);
    const file = singleFile(glimpse('decoder_model_merged_q4'));
    return openDequantized(
      (memoryBudget) => optimizeDecoder(file, { positions: 64, evaluate: evaluator(ort), memoryBudget }),
      (model) => Session.open(ort, model),
      budget,
    );
  }

  // First, while onnxruntime's memory is small: it does not shrink.
  test('is opened as it is if the memory for dequantized weights cannot be allocated', async () => {
    const grow = vi.spyOn(WebAssembly.Memory.prototype, 'grow').mockImplementation(() => {
      throw new RangeError('no more');
    });
    // It begins with 16 MB, which are full after a few.
    const opened: OpenedDecoder[] = [];
    do opened.push(await open({ bytes: 64 << 20 }));
    while (grow.mock.calls.length === 0);
    const { session, remark } = opened.at(-1)!;
    expect(remark).toMatch(/^weights stay quantized \(dequantized, they could not be opened: .*bad_alloc/);
    expect(opened[0]?.remark).toBe('weights dequantized');
    expect(session.outputs.has('logits')).toBe(true);
    for (const each of opened) await each.session.close();
  });

  test('is opened as it is if the budget is too small', async () => {
    const { session, remark } = await open({ bytes: 1 << 20, reason: 'so it is' });
    expect(remark).toMatch(/^weights stay quantized \(the weights would take \d+ bytes, over 1048576; so it is\)$/);
    await session.close();
  });

  test('is dequantized if the budget allows it', async () => {
    const { session, remark } = await open({ bytes: 64 << 20 });
    expect(remark).toBe('weights dequantized');
    await session.close();
  });
});
