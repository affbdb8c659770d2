import { unpackError, NearsightError, packError, type ErrorData } from './errors.ts';

/** Worker to page: parts, then exactly one `end` or `error`. */
type Down<Part> = { part: Part } | { end: true } | { error: ErrorData };

/** Page to worker: the reader cancels. */
type Up = { cancel: true };

/** How many ports this thread holds open, for leak tests. */
export let openPorts = 0;

/**
 * Runs `produce` and sends what it emits, then its end or its error. A cancel from the reader aborts `signal`.
 *
 * There is no flow control on purpose: the context bounds the answer, and a slow reader that made the GPU wait would block
 * all requests after it.
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

/** The reading end of a port. One `read` at a time. */
export type PartReader<Part> = Pick<ReadableStreamDefaultReader<Part>, 'read' | 'cancel'>;

/** What ends a {@link PartReader} besides the worker's own end or error. */
export interface ReadOptions {
  /** Rejects if the call that carries the other end of the port could not be posted. */
  sent: Promise<unknown>;
  /** Aborts when the worker is gone: its ports then stay silent. */
  dead: AbortSignal;
  /** The caller's: `read` rejects with its own reason, and the producer stops. */
  signal?: AbortSignal | undefined;
  /**
   * Called once, when no part can come any more: with the error that `read` rejects with afterwards, or with nothing at
   * the end and after a cancel. It does not wait for a reader.
   */
  onFinish?: ((error?: unknown) => void) | undefined;
}

/**
 * Reads what {@link servePort} sends. The only buffer between worker and page.
 *
 * An error drops the parts that have not been read. Cancelling stops the producer; after the end it does nothing.
 */
export function readPort<Part>(port: MessagePort, options: ReadOptions): PartReader<Part> {
  const { sent, dead, signal, onFinish } = options;
  const buffer: Part[] = [];
  /** Set once no part can come any more. */
  let outcome: { error?: unknown } | undefined;
  let wake = (): void => {};

  const finish = (last: { error?: unknown }): void => {
    if (outcome) return;
    outcome = last;
    if ('error' in last) buffer.length = 0;
    dead.removeEventListener('abort', onDead);
    signal?.removeEventListener('abort', onAbort);
    // Parts that are on their way are still delivered after a close.
    port.onmessage = null;
    port.close();
    openPorts--;
    onFinish?.(last.error);
    wake();
  };
  const fail = (error: unknown): void => finish({ error });
  const stop = (last: { error?: unknown }): void => {
    if (!outcome) port.postMessage({ cancel: true } satisfies Up);
    finish(last);
  };
  const onDead = (): void => fail(dead.reason);
  const onAbort = (): void => stop({ error: signal?.reason });

  openPorts++;
  sent.catch(fail);
  dead.addEventListener('abort', onDead);
  signal?.addEventListener('abort', onAbort);
  port.onmessageerror = () => fail(new NearsightError('internal', 'A message from the worker could not be read.'));
  port.onmessage = ({ data }: MessageEvent<Down<Part>>) => {
    if ('end' in data) return finish({});
    if ('error' in data) return fail(unpackError(data.error));
    buffer.push(data.part);
    wake();
  };
  if (dead.aborted) onDead();
  else if (signal?.aborted) onAbort();

  return {
    async read() {
      if (buffer.length === 0 && !outcome) await new Promise<void>((resolve) => (wake = resolve));
      const value = buffer.shift();
      if (value !== undefined) return { done: false, value };
      if (outcome && 'error' in outcome) throw outcome.error;
      return { done: true, value: undefined };
    },
    async cancel() {
      buffer.length = 0;
      stop({});
    },
  };
}
