import type { MemoryBudget } from '../../onnx/optimize/dequantize-weights.ts';
import type { OptimizedGraph } from '../../onnx/optimize/pass.ts';
import type { Session } from '../../onnx/ort-session.ts';

/** Any device has this much: glimpse's weights take 4 MB. */
const SMALL_BUDGET = 64 << 20;

/** SmolVLM-256M's decoder takes 538 MB; a process that opens it takes 0.67 GB more than one that keeps it quantized. */
const LARGE_BUDGET = 640 << 20;

/** On a device with less, a page that takes a gigabyte may be ended, without any error that could be caught. */
const MIN_DEVICE_GIGABYTES = 8;

/**
 * How much memory dequantized weights may take. Chromium tells how much there is, as `navigator.deviceMemory`, on secure
 * pages. Of the others, only Firefox on desktops gets the large budget.
 */
export function estimateMemoryBudget(
  browser: { userAgent?: string; deviceMemory?: unknown } = globalThis.navigator ?? {},
): MemoryBudget {
  const { deviceMemory, userAgent = '' } = browser;
  if (typeof deviceMemory === 'number') {
    if (deviceMemory >= MIN_DEVICE_GIGABYTES) return { bytes: LARGE_BUDGET };
    return { bytes: SMALL_BUDGET, reason: `navigator.deviceMemory is ${deviceMemory}, not ${MIN_DEVICE_GIGABYTES}` };
  }
  // The user agent, because no feature that a worker has tells a desktop from a phone: there are no pointer media queries,
  // neither Firefox nor Safari has `userAgentData`, and Safari on an iPad calls itself a Mac.
  if (/Firefox\//.test(userAgent) && !/Android|Mobile|Tablet/.test(userAgent)) return { bytes: LARGE_BUDGET };
  return { bytes: SMALL_BUDGET, reason: 'this browser does not tell how much memory there is' };
}

/** A decoder, and what is to be said of how it was opened. */
export interface OpenedDecoder {
  session: Session;
  remark?: string;
}

/**
 * Opens a decoder with its weights dequantized if the budget allows it, otherwise with quantized weights. If memory runs
 * out while it is opened, it is opened again with quantized weights: onnxruntime frees what it took.
 *
 * @param optimize optimizes the graph; without a budget, weights stay quantized
 * @throws what `open` throws for the graph with quantized weights
 */
export async function openDequantized(
  optimize: (memoryBudget: MemoryBudget | undefined) => Promise<OptimizedGraph>,
  open: (model: OptimizedGraph) => Promise<Session>,
  memoryBudget: MemoryBudget = estimateMemoryBudget(),
): Promise<OpenedDecoder> {
  const model = await optimize(memoryBudget);
  const outcome = model.outcomes.find(({ pass }) => pass === 'dequantize-weights');
  // The optimizer did not try, because it does not understand the graph.
  if (!outcome) return { session: await open(model) };
  if (outcome.reason !== undefined) {
    return { session: await open(model), remark: `weights stay quantized (${outcome.reason})` };
  }
  try {
    return { session: await open(model), remark: 'weights dequantized' };
  } catch (error) {
    const session = await open(await optimize(undefined));
    return { session, remark: `weights stay quantized (dequantized, they could not be opened: ${String(error)})` };
  }
}
