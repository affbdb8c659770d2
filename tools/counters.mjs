/**
 * Counts the calls to WebGPU of a page's workers, from outside, so that it works for any library. The server puts
 * `counters/patch.mjs` in front of each worker's script; the page reads the counts.
 */
import { readFileSync } from 'node:fs';

/**
 * Totals since the worker's start.
 *
 * @typedef {object} Counts
 * @property {number} submits calls of `queue.submit`
 * @property {number} dispatches
 * @property {number} copies from buffer to buffer
 * @property {number} pipelines
 * @property {number} buffers created
 * @property {number} bufferBytes of the buffers created
 * @property {number} writes calls of `queue.writeBuffer`
 * @property {number} writtenBytes
 * @property {number} maps calls of `mapAsync`
 * @property {number} readBytes bytes mapped for reading
 * @property {number} workDone calls of `onSubmittedWorkDone`
 * @property {number} errorScopes calls of `popErrorScope`
 * @property {number} waits as `counters/patch.mjs` says
 * @property {number} liveBytes in buffers that are not destroyed
 * @property {number} peakBytes the maximum of `liveBytes` since the last report
 *
 * @typedef {Counts & { spans: [number, number][], runs: Record<string, number> }} CounterReport
 *   `spans`: when the GPU was awaited or ONNX Runtime ran, since the last report; `runs`: of each graph. Runs of ONNX
 *   Runtime are recorded only if the server wraps it
 *
 * @typedef {object} CountedWorker
 * @property {() => Promise<CounterReport>} take the counts so far
 * @property {(ms: number) => Promise<CounterReport>} hold for how many milliseconds promises are held; default 0
 * @property {(on: boolean) => Promise<CounterReport>} idle whether nothing is submitted to the GPU
 *
 * @typedef {{ newest: () => CountedWorker }} Counters
 */

const patch = readFileSync(new URL('counters/patch.mjs', import.meta.url));

/**
 * Serves the workers of a page that called {@link installCounters}.
 *
 * @param {Request} request
 * @returns {Response | undefined}
 */
export function serveCounters(request) {
  const url = new URL(request.url);
  const headers = { 'content-type': 'text/javascript', 'cross-origin-embedder-policy': 'require-corp' };
  if (url.pathname === '/counters/patch.mjs') return new Response(patch, { headers });
  if (url.pathname !== '/counters/worker.mjs') return undefined;
  // Static imports: with a dynamic one, the page's first message would come before there is a listener.
  const real = JSON.stringify(url.searchParams.get('real'));
  return new Response(`import '/counters/patch.mjs';\nimport ${real};`, { headers });
}

/**
 * Runs in the page: module workers started from now on are counted. `counters.newest()` is the last of them.
 *
 * @param {{ gigabytes?: number | undefined, cores?: number | undefined }} [device] what workers are told of the device, in
 *   place of what the browser says
 */
export function installCounters(device = {}) {
  let name = '';
  let lastId = 0;
  const RealWorker = globalThis.Worker;
  globalThis.Worker = class extends RealWorker {
    /**
     * @param {string | URL} url
     * @param {WorkerOptions} [options]
     */
    constructor(url, options) {
      const channel = `counters-${crypto.randomUUID()}`;
      const told = Object.entries(device).map(([key, value]) => (value === undefined ? '' : `&${key}=${value}`));
      super(
        `/counters/worker.mjs?counters=${channel}${told.join('')}&real=${encodeURIComponent(String(url))}`,
        options,
      );
      name = channel;
    }
  };
  const newest = () => {
    const channel = new BroadcastChannel(name);
    /**
     * @param {string} command
     * @param {number} value
     * @returns {Promise<CounterReport>}
     */
    const send = (command, value) =>
      new Promise((resolve) => {
        const id = lastId++;
        /** @param {MessageEvent<{ id?: number, report: CounterReport }>} event */
        const onMessage = ({ data }) => {
          if (data.id !== id || !data.report) return;
          channel.removeEventListener('message', onMessage);
          resolve(data.report);
        };
        channel.addEventListener('message', onMessage);
        channel.postMessage({ command, value, id });
      });
    return {
      take: () => send('take', 0),
      /** @param {number} ms */
      hold: (ms) => send('hold', ms),
      /** @param {boolean} on */
      idle: (on) => send('idle', on ? 1 : 0),
    };
  };
  Object.assign(globalThis, { counters: { newest } });
}
