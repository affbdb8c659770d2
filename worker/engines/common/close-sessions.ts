import type { Session } from '../../onnx/ort-session.ts';

/** Frees the weights, but not after the GPU has failed: runs may never settle then, and closing waits for them. */
export async function closeSessions(sessions: readonly Session[], fault: AbortSignal | undefined): Promise<void> {
  if (fault?.aborted) return;
  for (const session of sessions) await session.close();
}
