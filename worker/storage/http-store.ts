import { readDataURL } from '../../src/bytes/data-url.ts';
import { sha256 } from '../../src/bytes/sha256.ts';
import { asNearsightError, NearsightError } from '../../src/protocol/errors.ts';
import type { ModelFile } from '../../src/protocol/model-spec.ts';
import type { ModelStore } from './store.ts';

type Bytes = Uint8Array<ArrayBuffer>;

/** A download in progress. */
interface Download {
  url: string;
  file: ModelFile;
  onBytes: (count: number) => void;
  signal: AbortSignal;
}

/** Downloads each file whenever it is opened, and keeps nothing. */
export const httpStore: ModelStore = {
  /** Returns exactly the bytes that the spec lists, or throws. */
  async open(file, onBytes, signal) {
    if (file.url === undefined) throw new NearsightError('internal', `${file.path} has no URL.`);
    const url = String(file.url);
    const download = { url, file, onBytes, signal };
    // Bundlers turn small files into data: URLs, which `connect-src 'self'` does not let us fetch.
    const bytes = url.startsWith('data:') ? await readInlined(download) : await fetchFile(download);
    const digest = await sha256(bytes);
    if (digest === file.sha256) return bytes;
    const message = `${file.path} has sha256 ${digest}, but the model's spec says ${file.sha256}. It was not used.`;
    throw new NearsightError('integrity', message);
  },
  stat: async () => 0,
  list: async () => [],
  delete: async () => {},
  import: nothingStored,
  export: nothingStored,
};

async function nothingStored(): Promise<never> {
  throw new NearsightError('storage_unavailable', 'Models are not stored here: they are downloaded at every load.');
}

async function readInlined({ url, file, onBytes }: Download): Promise<Bytes> {
  const { bytes } = await readDataURL(url).catch((cause: unknown) => {
    const message = `${file.path} is inlined as a data: URL that cannot be read: ${asNearsightError(cause).message}.`;
    throw new NearsightError('load_failed', message, { cause });
  });
  if (bytes.length !== file.bytes) throw sizeError(file, String(bytes.length));
  onBytes(bytes.length);
  return bytes;
}

async function fetchFile(download: Download): Promise<Bytes> {
  const { url, signal } = download;
  // Weights are public, so the server gets neither the page's cookies nor its address.
  const init: RequestInit = { signal, credentials: 'omit', referrerPolicy: 'no-referrer' };
  const response = await fetch(url, init).catch((cause: unknown) => {
    signal.throwIfAborted();
    const message =
      `Could not fetch ${url}: the network failed, or the server does not allow this origin (CORS) or this page's ` +
      `Content-Security-Policy does not allow the server (connect-src).`;
    throw new NearsightError('load_failed', message, { cause });
  });
  // Many servers answer with the application's page, and 200, for a file that they do not have. Others give all files that type.
  const isPage =
    /^text\/html\b/i.test(response.headers.get('content-type') ?? '') &&
    Number(response.headers.get('content-length')) !== download.file.bytes;
  if (!response.ok || !response.body || isPage) {
    void response.body?.cancel();
    const got = response.ok && isPage ? 'a web page' : response.statusText;
    throw new NearsightError('load_failed', `Could not fetch ${url}: HTTP ${response.status} ${got}.`);
  }
  return collect(response.body, download);
}

/** Reads the body into one buffer of the promised size, and stops when more than that arrives. */
async function collect(body: ReadableStream<Uint8Array>, { url, file, onBytes, signal }: Download): Promise<Bytes> {
  const bytes = allocate(file);
  const reader = body.getReader();
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read().catch((cause: unknown) => {
      signal.throwIfAborted();
      const got = `the connection to ${url} failed after ${length} of ${file.bytes} bytes`;
      const message = `${file.path} is incomplete: ${got}: ${asNearsightError(cause).message}.`;
      throw new NearsightError('load_failed', message, { cause });
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

function allocate({ path, bytes }: ModelFile): Bytes {
  try {
    return new Uint8Array(bytes);
  } catch (cause) {
    throw new NearsightError(
      'load_failed',
      `${path} has ${bytes} bytes, and there is no memory for them. Close other pages, or use a smaller model.`,
      { cause },
    );
  }
}

function sizeError({ path, bytes }: ModelFile, received: string): NearsightError {
  const why = 'the download was cut short, or the server holds another version';
  const message = `${path} should have ${bytes} bytes, got ${received}. It was not used: ${why}.`;
  return new NearsightError('integrity', message);
}
