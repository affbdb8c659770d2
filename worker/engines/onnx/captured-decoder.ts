import type { OptimizedGraph } from '../../onnx/optimize/pass.ts';
import type { Session } from '../../onnx/ort-session.ts';
import type { OpenedDecoder } from './dequantized-decoder.ts';

/**
 * Opens a decoder on the GPU so that its steps are captured, or, where that cannot be, as it is.
 *
 * @throws what `open` throws without capture
 */
export async function openCaptured(
  { uncapturable }: Pick<OptimizedGraph, 'uncapturable'>,
  open: (capture: boolean) => Promise<Session>,
): Promise<OpenedDecoder> {
  if (uncapturable !== undefined) return { session: await open(false), remark: remarkOf(uncapturable) };
  try {
    return { session: await open(true) };
  } catch (error) {
    return { session: await open(false), remark: remarkOf(String(error)) };
  }
}

function remarkOf(reason: string): string {
  return `steps are not captured (${reason})`;
}
