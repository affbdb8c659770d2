import { readDataURL } from '../../src/bytes/data-url.ts';
import { sha256 } from '../../src/bytes/sha256.ts';
import { asNearsightError, NearsightError } from '../../src/protocol/errors.ts';
import type { ModelFile } from '../../src/protocol/model-spec.ts';

/**
 * Fetches one file of a model and checks it: exactly the bytes that the spec promises, or an error (contract C10).
 *
 * @param onBytes called with the number of bytes that have just arrived; in all, `file.bytes`
 * @throws NearsightError `load_failed` (network, HTTP status, a `data:` URL that cannot be read, no memory), `integrity`
 *   (size or hash differ), or the signal's reason
 */
export async function readFile(
  file: ModelFile,
  onBytes: (count: number) => void,
  signal: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  const url = file.url === undefined ? undefined : String(file.url);
  if (url === undefined) throw new NearsightError('internal', `${file.path} has no address.`);
  // Bundlers inline small files, and `connect-src 'self'` forbids fetching what they made of them.
  const inlined = url.startsWith('data:');
  const bytes = inlined ? readInlined(url, file, onBytes) : await download(url, file, onBytes, signal);
  const digest = await sha256(bytes);
  if (digest !== file.sha256) {
    throw new NearsightError(
      'integrity',
      `${file.path} has sha256 ${digest}, but the model's spec says ${file.sha256}. It was not used.`,
    );
  }
  return bytes;
}

function readInlined(url: string, file: ModelFile, onBytes: (count: number) => void): Uint8Array<ArrayBuffer> {
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    ({ bytes } = readDataURL(url));
  } catch (cause) {
    const message = `${file.path} is inlined as a data: URL that cannot be read: ${asNearsightError(cause).message}.`;
    throw new NearsightError('load_failed', message, { cause });
  }
  if (bytes.length !== file.bytes) throw sizeError(file, String(bytes.length));
  onBytes(bytes.length);
  return bytes;
}

async function download(
  url: string,
  file: ModelFile,
  onBytes: (count: number) => void,
  signal: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  // Weights are public: no cookie of the page has any business there.
  const response = await fetch(url, { signal, credentials: 'omit' }).catch((cause: unknown) => {
    signal.throwIfAborted();
    throw new NearsightError(
      'load_failed',
      `Could not fetch ${url}: the network failed, or the server does not allow this origin (CORS) or this page's ` +
        `Content-Security-Policy does not allow the server (connect-src).`,
      { cause },
    );
  });
  if (!response.ok || !response.body) {
    throw new NearsightError('load_failed', `Could not fetch ${url}: HTTP ${response.status} ${response.statusText}.`);
  }
  return collect(response.body, url, file, onBytes, signal);
}

/** Reads the body into one buffer of the promised size, and stops at the first byte too many. */
async function collect(
  body: ReadableStream<Uint8Array>,
  url: string,
  file: ModelFile,
  onBytes: (count: number) => void,
  signal: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = allocate(file);
  const reader = body.getReader();
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read().catch((cause: unknown) => {
      signal.throwIfAborted();
      throw new NearsightError(
        'load_failed',
        `${file.path} did not come whole: the connection to ${url} failed after ${length} of ${file.bytes} bytes: ` +
          `${asNearsightError(cause).message}.`,
        { cause },
      );
    });
    // A chunk can be here already when the signal aborts: it is counted no more.
    signal.throwIfAborted();
    if (done) break;
    if (!(length + value.length <= file.bytes)) {
      void reader.cancel();
      throw sizeError(file, 'more');
    }
    bytes.set(value, length);
    length += value.length;
    onBytes(value.length);
  }
  if (length !== file.bytes) throw sizeError(file, String(length));
  return bytes;
}

function allocate({ path, bytes }: ModelFile): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(bytes);
  } catch (cause) {
    throw new NearsightError('load_failed', `${path} has ${bytes} bytes, for which there is no memory.`, { cause });
  }
}

function sizeError(file: ModelFile, got: string): NearsightError {
  return new NearsightError(
    'integrity',
    `${file.path} should have ${file.bytes} bytes, got ${got}. It was not used: the download was cut short, or the ` +
      `server holds another version.`,
  );
}
