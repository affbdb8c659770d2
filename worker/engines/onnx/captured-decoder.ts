import type { OptimizedGraph } from '../../onnx/optimize/pass.ts';
import type { Session } from '../../onnx/ort-session.ts';
import type { OpenedDecoder } from './dequantized-decoder.ts';

/**
 * Opens a decoder on the GPU so that its steps are captured, or, where that fails, as it is: kernels that read their lengths on
 * the GPU may be missing or wrong where the usual ones are right.
 *
 * @param open opens and tests it; closes it again if the test fails
 * @throws what `open` throws without capture; the signal's reason
 */
export async function openCaptured(
  { uncapturable }: Pick<OptimizedGraph, 'uncapturable'>,
  open: (capture: boolean) => Promise<Session>,
  signal: AbortSignal,
): Promise<OpenedDecoder> {
  if (uncapturable !== undefined) return { session: await open(false), remark: remarkOf(uncapturable) };
  try {
    return { session: await open(true) };
  } catch (error) {
    signal.throwIfAborted();
    return { session: await open(false), remark: remarkOf(String(error)) };
  }
}

function remarkOf(reason: string): string {
  return `steps are not captured (${reason})`;
}
