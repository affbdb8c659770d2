import type { Session } from '../../onnx/ort-session.ts';
import type { OptimizedGraph } from '../../onnx/optimize/pass.ts';
import type { MemoryBudget } from '../../onnx/optimize/dequantize-weights.ts';

/** What any device has: glimpse's take 4 MB. */
const SMALL_BUDGET = 64 << 20;

/** SmolVLM-256M's decoder takes 538 MB; a process that opens it, 0.67 GB more than one that leaves it packed. */
const LARGE_BUDGET = 640 << 20;

/** A device with less may end a page that takes a gigabyte, without any error that could be caught. */
const MIN_DEVICE_GIGABYTES = 8;

/**
 * How much memory widening may take, by what the browser tells: `navigator.deviceMemory` where there is one (Chromium, on
 * secure pages), else only Firefox on desktops is trusted to have as much. Safari tells nothing, not even whether it runs
 * on a phone.
 */
export function estimateMemoryBudget(browser: { userAgent?: string; deviceMemory?: unknown }): MemoryBudget {
  const { deviceMemory, userAgent = '' } = browser;
  if (typeof deviceMemory === 'number') {
    if (deviceMemory >= MIN_DEVICE_GIGABYTES) return { bytes: LARGE_BUDGET };
    return { bytes: SMALL_BUDGET, reason: `navigator.deviceMemory is ${deviceMemory}, not ${MIN_DEVICE_GIGABYTES}` };
  }
  if (/Firefox\//.test(userAgent) && !/Android|Mobile|Tablet/.test(userAgent)) return { bytes: LARGE_BUDGET };
  return { bytes: SMALL_BUDGET, reason: 'this browser does not tell how much memory there is' };
}

/** A decoder on wasm, and what became of its weights. */
export interface OpenedDecoder {
  session: Session;
  remark?: string;
}

/**
 * Opens a decoder with its weights widened, if there is room, else as it is: also where memory turns out not to be had,
 * because onnxruntime then frees what it took, and goes on.
 *
 * @param operate surgery on the graph, given the room for widened weights
 * @throws what `open` throws for the graph as it is
 */
export async function openDequantized(
  operate: (room: MemoryBudget | undefined) => Promise<OptimizedGraph>,
  open: (operated: OptimizedGraph) => Promise<Session>,
  room: MemoryBudget = estimateMemoryBudget(globalThis.navigator ?? {}),
): Promise<OpenedDecoder> {
  const operated = await operate(room);
  const outcome = operated.outcomes.find(({ pass: rewrite }) => rewrite === 'dequantize-weights');
  // Surgery did not try, because it does not understand the graph.
  if (!outcome) return { session: await open(operated) };
  if (outcome.reason !== undefined) {
    return { session: await open(operated), remark: `weights as they are (${outcome.reason})` };
  }
  try {
    return { session: await open(operated), remark: 'weights dequantized once' };
  } catch (error) {
    const session = await open(await operate(undefined));
    return { session, remark: `weights as they are (dequantized, they could not be opened: ${String(error)})` };
  }
}
