import type { OptimizedGraph } from '../../onnx/optimize/pass.ts';
import type { Session } from '../../onnx/ort-session.ts';
import type { OpenedDecoder } from './dequantized-decoder.ts';

/**
 * Opens a decoder on the GPU so that its steps are recorded, or, where that cannot be, as it is.
 *
 * @throws what `open` throws without recording
 */
export async function openRecorded(
  { unrecordable }: Pick<OptimizedGraph, 'unrecordable'>,
  open: (record: boolean) => Promise<Session>,
): Promise<OpenedDecoder> {
  if (unrecordable !== undefined) return { session: await open(false), remark: remarkOf(unrecordable) };
  try {
    return { session: await open(true) };
  } catch (error) {
    return { session: await open(false), remark: remarkOf(String(error)) };
  }
}

function remarkOf(reason: string): string {
  return `steps are not recorded (${reason})`;
}
