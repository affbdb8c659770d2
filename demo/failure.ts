import type { ErrorCode, Verdict } from 'nearsight';

/** An error in a visitor's words: one sentence, then the library's message. */
export interface Failure {
  summary: string;
  detail: string;
}

// Errors that a visitor can meet here and do something about. For all others, the library's message is shown.
const summaries: Partial<Record<ErrorCode, string>> = {
  unreadable_image: 'This image could not be read.',
  unsupported_schema: 'This schema cannot be enforced.',
  context_length_exceeded: 'This conversation has become too long for the model, or for this device. Start a new one.',
  queue_full: 'Too many questions are waiting. Try again in a moment.',
  worker_crashed: 'The model stopped, possibly because memory ran out. Ask again to restart it.',
  device_lost: 'The connection to the GPU was lost. Ask again to restart the model.',
  gpu_error: 'The GPU reported an error, so the answer was discarded. Ask again.',
  unsupported_device: 'This browser cannot run the model.',
  load_failed: 'The model could not be loaded.',
  integrity: 'The files are not those of the model, or they are damaged.',
  quota_exceeded: 'There is not enough space on this device.',
  storage_unavailable: 'The model’s files cannot be changed now.',
};

/** The texts for any error. */
export function failureOf(error: unknown): Failure {
  const message = error instanceof Error ? error.message : String(error);
  // The image's place in the request is of use to developers only.
  const detail = message.replace(/^The image at \S+/, 'The image');
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  const known = Object.entries(summaries).find(([name]) => name === code);
  return { summary: known?.[1] ?? 'Something went wrong.', detail };
}

/** Why a model cannot run. The library's sentence begins with which one, and that it cannot. */
export function refusalOf({ reason }: Verdict): string {
  return reason.replace(/^.+ cannot run here: /, '');
}
