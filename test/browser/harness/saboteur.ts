/**
 * A worker under test control: the real one, with a patch in front of it that keeps hold of its GPU devices and does
 * as it is told over a BroadcastChannel. The library is not touched.
 */
const patch = `
const devices = new Set();
const buffers = new Set();
if (globalThis.GPUAdapter) {
  const { requestDevice } = GPUAdapter.prototype;
  GPUAdapter.prototype.requestDevice = async function (...args) {
    const device = await requestDevice.apply(this, args);
    devices.add(device);
    return device;
  };
  const { createBuffer } = GPUDevice.prototype;
  GPUDevice.prototype.createBuffer = function (...args) {
    const buffer = createBuffer.apply(this, args);
    buffers.add(buffer);
    return buffer;
  };
  const { destroy } = GPUBuffer.prototype;
  GPUBuffer.prototype.destroy = function () {
    buffers.delete(this);
    return destroy.apply(this);
  };
}
const orders = {
  destroy: () => devices.forEach((device) => device.destroy()),
  // A buffer that is both mappable and storage is a validation error.
  invalid: () => devices.forEach((device) => device.createBuffer({ size: 4, usage: 0x81 })),
  count: () => {},
  hang: () => {
    for (;;);
  },
};
const channel = new BroadcastChannel('saboteur');
const { createImageBitmap } = globalThis;
globalThis.createImageBitmap = (...args) => {
  channel.postMessage({ event: 'decoding' });
  return createImageBitmap(...args);
};
channel.onmessage = ({ data }) => {
  if (!(data in orders)) return;
  orders[data]();
  channel.postMessage({ done: data, buffers: buffers.size });
};
`;

/** For `openPage({ answer })`: serves the patched worker to a page that called {@link installSaboteur}. */
export function saboteur(request: Request): Response | undefined {
  const url = new URL(request.url);
  const headers = { 'content-type': 'text/javascript', 'cross-origin-embedder-policy': 'require-corp' };
  if (url.pathname === '/patch.js') return new Response(patch, { headers });
  if (url.pathname !== '/saboteur.js') return undefined;
  // Static imports: a dynamic one would let the page's first message pass before anybody listens.
  return new Response(`import '/patch.js';\nimport ${JSON.stringify(url.searchParams.get('real'))};`, { headers });
}

/** What {@link installSaboteur} puts on the page. */
export interface Sabotage {
  /** Every worker that was started, oldest first. */
  workers: Worker[];
  /** Gives an order to the newest worker, and resolves when it was carried out, with its live GPU buffers. */
  order(name: 'destroy' | 'invalid' | 'count'): Promise<{ buffers: number }>;
  /** Makes the newest worker loop without end: it will not say that it does. */
  hang(): void;
  /** Resolves when a worker next decodes a picture: its answer has begun, and vision and prompt are still to come. */
  decoding(): Promise<unknown>;
}

declare global {
  // oxlint-disable-next-line no-var -- only `var` declares a global
  var sabotage: Sabotage;
}

/** Runs in the page: workers started from now on are under control. */
export function installSaboteur(): void {
  const workers: Worker[] = [];
  const RealWorker = globalThis.Worker;
  globalThis.Worker = class extends RealWorker {
    constructor(url: string | URL, options?: WorkerOptions) {
      super(`/saboteur.js?real=${encodeURIComponent(String(url))}`, options);
      workers.push(this);
    }
  };
  const channel = new BroadcastChannel('saboteur');
  const heard = (is: (data: { done?: string; event?: string }) => boolean): Promise<unknown> =>
    new Promise((resolve) => {
      const onMessage = ({ data }: MessageEvent): void => {
        if (!is(data)) return;
        channel.removeEventListener('message', onMessage);
        resolve(data);
      };
      channel.addEventListener('message', onMessage);
    });
  const order = (name: string): Promise<unknown> => {
    const done = heard((data) => data.done === name);
    channel.postMessage(name);
    return done;
  };
  const hang = (): void => channel.postMessage('hang');
  const decoding = (): Promise<unknown> => heard(({ event }) => event === 'decoding');
  Object.assign(globalThis, { sabotage: { workers, order, hang, decoding } });
}
