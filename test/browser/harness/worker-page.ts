// Workers around one part of the runtime, for what the public API does not show.
import { build } from 'vite';
import { openPage, type TestPage } from './harness.ts';

/** A page whose server has this worker, built from its source. */
export async function openWorkerPage({ pathname: entry }: URL): Promise<TestPage> {
  const built = await build({
    configFile: false,
    logLevel: 'warn',
    build: { write: false, minify: false, target: 'es2023', lib: { entry, formats: ['es'], fileName: 'lone' } },
  });
  const [output] = [built].flat();
  const code = output && 'output' in output ? output.output[0].code : '';
  const headers = { 'content-type': 'text/javascript', 'cross-origin-embedder-policy': 'require-corp' };
  return openPage({ answer: ({ url }) => (url.endsWith('/lone.js') ? new Response(code, { headers }) : undefined) });
}

/** Starts the worker, sends it an order (if it waits for one) and returns its reply. Bytes travel as base64. */
export function order<Reply>(
  page: TestPage,
  { bytes = new Uint8Array(), ...rest }: { bytes?: Uint8Array } & Record<string, unknown> = {},
): Promise<Reply> {
  return page.evaluate(
    async (base64: string, others: object) => {
      const worker = new Worker('/lone.js', { type: 'module' });
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
