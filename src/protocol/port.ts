import { unpackError, NearsightError, packError, type ErrorData } from './errors.ts';

/** Worker to page: a part, then exactly one `end` or `error`. */
type Down<Part> = { part: Part } | { end: true } | { error: ErrorData };

/** Page to worker: the reader wants no more. */
type Up = { cancel: true };

/** How many ports this thread holds open, for leak tests. */
export let openPorts = 0;

/**
 * Runs `produce` and sends what it emits, then its end or its error. A cancel from the reader aborts `signal`.
 *
 * There is no flow control on purpose: an answer is bounded by the context, and holding the GPU for a slow
 * reader would make everyone behind it wait.
 */
export async function servePort<Part>(
  port: MessagePort,
  produce: (emit: (part: Part) => void, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const send = (message: Down<Part>): void => port.postMessage(message);
  const cancelled = new AbortController();
  openPorts++;
  port.onmessage = (_event: MessageEvent<Up>) =>
    cancelled.abort(new NearsightError('aborted', 'The request was aborted.'));
  try {
    await produce((part) => send({ part }), cancelled.signal);
    send({ end: true });
  } catch (error) {
    send({ error: packError(error) });
  } finally {
    // Closing drops nothing: messages already posted are still delivered.
    port.close();
    openPorts--;
  }
}

/**
 * The reading end: a stream of parts that errors when the worker reports an error, when `sent` rejects (the call that
 * carries the other end could not be posted), when `crash` aborts (the worker died: its ports stay silent for ever), or
 * when `signal` does (with the signal's own reason).
 *
 * Cancelling the stream stops the producer; cancelling it after its end does nothing.
 */
export function readPort<Part>(
  port: MessagePort,
  sent: Promise<unknown>,
  crash: AbortSignal,
  signal?: AbortSignal,
): ReadableStream<Part> {
  openPorts++;
  let finish = (): void => {};
  const cancel = (): void => {
    port.postMessage({ cancel: true } satisfies Up);
    finish();
  };
  return new ReadableStream<Part>({
    start(controller) {
      const fail = (error: unknown): void => {
        finish();
        controller.error(error);
      };
      const onCrash = (): void => fail(crash.reason);
      const onAbort = (): void => {
        cancel();
        controller.error(signal?.reason);
      };
      finish = () => {
        finish = () => {};
        crash.removeEventListener('abort', onCrash);
        signal?.removeEventListener('abort', onAbort);
        // Parts that were under way are still delivered after a close, to a stream that takes no more.
        port.onmessage = null;
        port.close();
        openPorts--;
      };
      sent.catch(fail);
      crash.addEventListener('abort', onCrash);
      signal?.addEventListener('abort', onAbort);
      if (crash.aborted) return onCrash();
      if (signal?.aborted) return onAbort();
      port.onmessageerror = () => fail(new NearsightError('internal', 'A message from the worker could not be read.'));
      port.onmessage = ({ data }: MessageEvent<Down<Part>>) => {
        if ('part' in data) return controller.enqueue(data.part);
        if ('error' in data) return fail(unpackError(data.error));
        finish();
        controller.close();
      };
    },
    cancel,
  });
}
