/**
 * Counts what a page's workers ask of WebGPU, from outside: the same for ours and for anybody else's. The server puts
 * `counters/patch.mjs` in front of each worker's script; the page asks for the numbers.
 */
import { readFileSync } from 'node:fs';

/**
 * Sums since the worker's start.
 *
 * @typedef {object} Counts
 * @property {number} submits calls of `queue.submit`
 * @property {number} dispatches
 * @property {number} copies from buffer to buffer
 * @property {number} pipelines
 * @property {number} buffers made
 * @property {number} bufferBytes of the buffers made
 * @property {number} writes calls of `queue.writeBuffer`
 * @property {number} writtenBytes
 * @property {number} maps calls of `mapAsync`
 * @property {number} readBytes bytes mapped for reading
 * @property {number} workDone calls of `onSubmittedWorkDone`
 * @property {number} errorScopes calls of `popErrorScope`
 * @property {number} waits as `counters/patch.mjs` says
 * @property {number} liveBytes in buffers that are not destroyed, now
 * @property {number} peakBytes the most of them since the last time that somebody asked
 *
 * @typedef {Counts & { spans: [number, number][], runs: Record<string, number> }} Told with the times at which the GPU
 *   was waited for, or ONNX Runtime ran (where the server says so), since the last time that somebody asked
 *
 * @typedef {object} CountedWorker
 * @property {() => Promise<Told>} take the numbers so far
 * @property {(ms: number) => Promise<Told>} hold how long to hold promises back; 0, the default, not at all
 * @property {(on: boolean) => Promise<Told>} idle whether to leave the GPU out
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
  // Static imports: a dynamic one would let the page's first message pass before anybody listens.
  const real = JSON.stringify(url.searchParams.get('real'));
  return new Response(`import '/counters/patch.mjs';\nimport ${real};`, { headers });
}

/** Runs in the page: module workers started from now on are counted, and `counters.newest()` asks the last of them. */
export function installCounters() {
  let name = '';
  let asked = 0;
  const RealWorker = globalThis.Worker;
  globalThis.Worker = class extends RealWorker {
    /**
     * @param {string | URL} url
     * @param {WorkerOptions} [options]
     */
    constructor(url, options) {
      const channel = `counters-${crypto.randomUUID()}`;
      super(`/counters/worker.mjs?counters=${channel}&real=${encodeURIComponent(String(url))}`, options);
      name = channel;
    }
  };
  const newest = () => {
    const channel = new BroadcastChannel(name);
    /**
     * @param {string} order
     * @param {number} value
     * @returns {Promise<Told>}
     */
    const give = (order, value) =>
      new Promise((resolve) => {
        const id = asked++;
        /** @param {MessageEvent<{ id?: number, told: Told }>} event */
        const hear = ({ data }) => {
          if (data.id !== id || !data.told) return;
          channel.removeEventListener('message', hear);
          resolve(data.told);
        };
        channel.addEventListener('message', hear);
        channel.postMessage({ order, value, id });
      });
    return {
      take: () => give('take', 0),
      /** @param {number} ms */
      hold: (ms) => give('hold', ms),
      /** @param {boolean} on */
      idle: (on) => give('idle', on ? 1 : 0),
    };
  };
  Object.assign(globalThis, { counters: { newest } });
}
