import { readDataURL } from '../../src/bytes/data-url.ts';
import { sha256 } from '../../src/bytes/sha256.ts';
import { asNearsightError, NearsightError } from '../../src/protocol/errors.ts';
import type { ModelFile } from '../../src/protocol/model-spec.ts';
import type { ModelStore } from './store.ts';

/** Downloads each file whenever it is opened, and keeps nothing. */
export const httpStore: ModelStore = {
  open: fetchFile,
  stat: async () => 0,
  list: async () => [],
  delete: async () => {},
  import: nothingStored,
  export: nothingStored,
};

async function nothingStored(): Promise<never> {
  throw new NearsightError('storage_unavailable', 'Models are not stored here: they are downloaded at every load.');
}

/** Returns exactly the bytes that the spec lists, or throws. */
async function fetchFile(
  file: ModelFile,
  onBytes: (count: number) => void,
  signal: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  const url = file.url === undefined ? undefined : String(file.url);
  if (url === undefined) throw new NearsightError('internal', `${file.path} has no URL.`);
  // Bundlers turn small files into data: URLs, which `connect-src 'self'` does not let us fetch.
  const inlined = url.startsWith('data:');
  const bytes = inlined ? await readInlined(url, file, onBytes) : await download(url, file, onBytes, signal);
  const digest = await sha256(bytes);
  if (digest !== file.sha256) {
    throw new NearsightError(
      'integrity',
      `${file.path} has sha256 ${digest}, but the model's spec says ${file.sha256}. It was not used.`,
    );
  }
  return bytes;
}

async function readInlined(
  url: string,
  file: ModelFile,
  onBytes: (count: number) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    ({ bytes } = await readDataURL(url));
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
  // Weights are public, so the server gets neither the page's cookies nor its address.
  const response = await fetch(url, { signal, credentials: 'omit', referrerPolicy: 'no-referrer' }).catch(
    (cause: unknown) => {
      signal.throwIfAborted();
      throw new NearsightError(
        'load_failed',
        `Could not fetch ${url}: the network failed, or the server does not allow this origin (CORS) or this page's ` +
          `Content-Security-Policy does not allow the server (connect-src).`,
        { cause },
      );
    },
  );
  if (!response.ok || !response.body) {
    void response.body?.cancel();
    throw new NearsightError('load_failed', `Could not fetch ${url}: HTTP ${response.status} ${response.statusText}.`);
  }
  return collect(response.body, url, file, onBytes, signal);
}

/** Reads the body into one buffer of the promised size, and stops when more than that arrives. */
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
        `${file.path} is incomplete: the connection to ${url} failed after ${length} of ${file.bytes} bytes: ` +
          `${asNearsightError(cause).message}.`,
        { cause },
      );
    });
    // A chunk that arrived before the signal aborted is not counted.
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
    throw new NearsightError('load_failed', `${path} has ${bytes} bytes, and there is no memory for them.`, { cause });
  }
}

function sizeError(file: ModelFile, received: string): NearsightError {
  return new NearsightError(
    'integrity',
    `${file.path} should have ${file.bytes} bytes, got ${received}. It was not used: the download was cut short, or the ` +
      `server holds another version.`,
  );
}
