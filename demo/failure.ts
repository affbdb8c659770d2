import type { ErrorCode } from 'nearsight';

/** What went wrong, for a person: one sentence of ours, then the library's own when it says more. */
export interface Failure {
  summary: string;
  detail: string;
}

// Only what a visitor can meet here and do something about; for the rest the library's message is the best there is.
const summaries: Partial<Record<ErrorCode, string>> = {
  unreadable_image: 'This image could not be read.',
  context_length_exceeded: 'This conversation has become too long for the model, or for this device. Start a new one.',
  queue_full: 'Too many questions are waiting. Try again in a moment.',
  worker_crashed: 'The model stopped, perhaps for want of memory. Ask again: it starts afresh.',
  device_lost: 'The graphics device went away. Ask again: it starts afresh.',
  gpu_error: 'The graphics device reported an error, so the answer was thrown away. Ask again.',
  unsupported_device: 'This browser cannot run the model.',
  load_failed: 'The model could not be loaded.',
  integrity: 'The model’s files are damaged. Reload the page to fetch them again.',
};

/** Puts any error into words. */
export function failureOf(error: unknown): Failure {
  const message = error instanceof Error ? error.message : String(error);
  // Where in the request the image was is for developers: here there is but one.
  const detail = message.replace(/^The image at \S+/, 'The image');
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  const known = Object.entries(summaries).find(([name]) => name === code);
  return { summary: known?.[1] ?? 'Something went wrong.', detail };
}
