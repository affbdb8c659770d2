/**
 * Reads the bytes of a stream, no further than the limit.
 *
 * @returns undefined if there are more; the stream is then cancelled
 * @throws the stream's own error; TypeError if it yields anything but bytes
 */
export async function readWithin(
  stream: ReadableStream<Uint8Array> | null,
  limit: number,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  const reader = stream?.getReader();
  for (let next = await reader?.read(); next && !next.done; next = await reader?.read()) {
    const { value } = next;
    // `instanceof Uint8Array` fails for bytes of another window.
    if (!ArrayBuffer.isView(value)) throw new TypeError('The stream yields something other than bytes.');
    chunks.push(value);
    size += value.length;
    if (size <= limit) continue;
    await reader?.cancel();
    return undefined;
  }
  const bytes = new Uint8Array(size);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.length;
  }
  return bytes;
}
