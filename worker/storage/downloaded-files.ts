import { readDataURL } from '../../src/bytes/data-url.ts';
import { sha256 } from '../../src/bytes/sha256.ts';
import { asNearsightError, NearsightError } from '../../src/protocol/errors.ts';
import type { StorageFacts } from '../../src/protocol/calls.ts';
import type { ModelFile } from '../../src/protocol/model-spec.ts';
import { endError, fetchFile, hashError, newRetries, readNext, sizeError, withConnection } from './fetch-file.ts';
import type { ModelFiles } from './store.ts';

type Bytes = Uint8Array<ArrayBuffer>;

/** A download in progress. */
interface Download {
  url: string;
  file: ModelFile;
  onBytes: (count: number) => void;
  signal: AbortSignal;
}

/** Files that are downloaded whenever they are opened, and not kept. */
export class DownloadedFiles implements ModelFiles {
  readonly storage: StorageFacts;
  readonly damaged = false;

  /** @param reason why they are not kept */
  constructor(reason: string) {
    this.storage = { kind: 'memory', reason };
  }

  async plan(): Promise<void> {}

  async read(file: ModelFile, onBytes: (count: number) => void, signal: AbortSignal): Promise<Bytes> {
    if (file.url === undefined) throw new NearsightError('internal', `${file.path} has no URL.`);
    const url = String(file.url);
    const download = { url, file, onBytes, signal };
    // Bundlers turn small files into data: URLs, which `connect-src 'self'` does not let us fetch.
    const bytes = url.startsWith('data:') ? await readInlined(download) : await fetchBytes(download);
    const digest = await sha256(bytes);
    if (digest === file.sha256) return bytes;
    throw hashError(file, digest);
  }

  open = this.read;

  async verify(): Promise<void> {}

  async supersede(): Promise<void> {}

  close(): void {}
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

/** Downloads into one buffer of the promised size, and stops when more than that arrives. */
async function fetchBytes({ file, onBytes, signal }: Download): Promise<Bytes> {
  const bytes = allocate(file);
  let reported = 0;
  const attempt = async (until: AbortSignal): Promise<void> => {
    const { response, body } = await fetchFile(file, until);
    const reader = body.getReader();
    let length = 0;
    for (;;) {
      const { done, value } = await readNext(file, reader, length, until);
      if (done) break;
      if (!(length + value.length <= file.bytes)) throw sizeError(file, 'more');
      bytes.set(value, length);
      length += value.length;
      // Those that arrive again are not counted again.
      if (length > reported) onBytes(length - reported);
      reported = Math.max(reported, length);
    }
    if (length !== file.bytes) throw endError(file, length, response.headers.get('content-length'));
  };
  await newRetries().run(() => withConnection(signal, attempt), signal);
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
