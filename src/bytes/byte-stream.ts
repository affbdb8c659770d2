type Bytes = Uint8Array<ArrayBuffer>;

/**
 * A stream that is read only when its consumer asks. As the body of a native Response, it takes BYOB readers, in browsers
 * that have those.
 *
 * @param next the next bytes, of which the stream takes the buffer; undefined at the end. What it throws errors the stream
 */
export function byteStream(
  next: () => Promise<Bytes | undefined>,
  cancel: (reason: unknown) => Promise<void>,
): ReadableStream<Bytes> {
  const pull = async (controller: ReadableStreamDefaultController<Bytes> | ReadableByteStreamController) => {
    const bytes = await next();
    if (bytes) return controller.enqueue(bytes);
    controller.close();
    // A BYOB reader that waits is told only so.
    if ('byobRequest' in controller) controller.byobRequest?.respond(0);
  };
  // Safari before 26.4 throws for the type, and its own bodies take no BYOB readers either.
  if (!('ReadableByteStreamController' in globalThis))
    return new ReadableStream({ pull, cancel }, { highWaterMark: 0 });
  return new ReadableStream({ type: 'bytes', pull, cancel }, { highWaterMark: 0 });
}
