// Workers around one part of the runtime, for tests of what the public API does not show.
import { build } from 'vite';
import { openPage, type TestPage } from './harness.ts';

/** A page whose server also serves this worker, built from its source. */
export async function openWorkerPage({ pathname: entry }: URL): Promise<TestPage> {
  const built = await build({
    configFile: false,
    logLevel: 'warn',
    build: { write: false, minify: false, target: 'es2023', lib: { entry, formats: ['es'], fileName: 'test-worker' } },
  });
  const [output] = [built].flat();
  const code = output && 'output' in output ? output.output[0].code : '';
  const headers = { 'content-type': 'text/javascript', 'cross-origin-embedder-policy': 'require-corp' };
  return openPage({
    answer: ({ url }) => (url.endsWith('/test-worker.js') ? new Response(code, { headers }) : undefined),
  });
}

/** Starts the worker, sends it a message and returns its reply. Bytes are sent as base64. */
export function order<Reply>(
  page: TestPage,
  { bytes = new Uint8Array(), ...rest }: { bytes?: Uint8Array } & Record<string, unknown> = {},
): Promise<Reply> {
  return page.evaluate(
    async (base64: string, others: object) => {
      const worker = new Worker('/test-worker.js', { type: 'module' });
      const reply = new Promise<Reply>((resolve, reject) => {
        worker.onmessage = ({ data }: MessageEvent<Reply>) => resolve(data);
        worker.onerror = ({ message }) => reject(new Error(message));
      });
      worker.postMessage({ ...others, bytes: Uint8Array.from(atob(base64), (char) => char.charCodeAt(0)) });
      const result = await reply;
      worker.terminate();
      return result;
    },
    Buffer.from(bytes).toString('base64'),
    rest,
  );
}
