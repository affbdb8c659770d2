import { openPage, type PageOptions, type TestPage } from './harness.ts';

/**
 * A worker under test control: the real one, with a patch in front of it that keeps hold of its GPU devices and does
 * as it is told over a BroadcastChannel, or by its own address from the start. The library is not touched.
 */
const patch = `
const plan = new URL(import.meta.url).searchParams;
const devices = new Set();
const buffers = new Set();
// Keys and values: sizes of all buffers that were made for them, and bytes that they may take.
const rooms = [];
const ofKeys = ({ label }) => label?.startsWith('past_key_values.');
const keyBytes = () => [...buffers].filter(ofKeys).reduce((sum, { size }) => sum + size, 0);
let memory = Infinity;
if (globalThis.GPUAdapter) {
  const { requestDevice } = GPUAdapter.prototype;
  GPUAdapter.prototype.requestDevice = async function (...args) {
    const device = await requestDevice.apply(this, args);
    devices.add(device);
    return device;
  };
  const { createBuffer } = GPUDevice.prototype;
  GPUDevice.prototype.createBuffer = function (descriptor) {
    if (ofKeys(descriptor) && keyBytes() + descriptor.size > memory) {
      // Software renderers promise what the machine does not have. This they know to be too much: the error is theirs.
      const edge = this.limits.maxTextureDimension3D;
      this.createTexture({ size: [edge, edge, edge], dimension: '3d', format: 'rgba32float', usage: 1 }).destroy();
      return createBuffer.call(this, { ...descriptor, size: 4 });
    }
    const buffer = createBuffer.call(this, descriptor);
    buffers.add(buffer);
    if (ofKeys(descriptor)) rooms.push(buffer.size);
    return buffer;
  };
  const { destroy } = GPUBuffer.prototype;
  GPUBuffer.prototype.destroy = function () {
    buffers.delete(this);
    return destroy.apply(this);
  };
}
// The device is lost at one of these calls, which are counted.
let calls = 0;
const lost = Number(plan.get('lost') ?? Infinity);
const counted = globalThis.GPUDevice && [
  [GPUDevice, 'createBuffer', 'createBindGroup', 'createShaderModule', 'createComputePipelineAsync', 'createCommandEncoder'],
  [GPUQueue, 'submit', 'writeBuffer'],
  [GPUBuffer, 'mapAsync'],
];
for (const [{ prototype }, ...names] of counted ?? []) {
  for (const name of names) {
    const call = prototype[name];
    prototype[name] = function (...args) {
      if (++calls === lost) orders.destroy();
      return call.apply(this, args);
    };
  }
}
// A number of results that the library reads come back wrong.
let wrong = Number(plan.get('wrong'));
if (wrong > 0) {
  const { getMappedRange } = GPUBuffer.prototype;
  GPUBuffer.prototype.getMappedRange = function (...args) {
    const range = getMappedRange.apply(this, args);
    // Short ones measure times.
    if (this.label === 'readback' && range.byteLength > 64 && wrong-- > 0) new Float32Array(range)[7] += 100;
    return range;
  };
}
// One of onnxruntime's kernels is written wrongly.
const [kernel, right, wrongly] = JSON.parse(plan.get('kernel') ?? '[]');
if (kernel) {
  const { createShaderModule } = GPUDevice.prototype;
  GPUDevice.prototype.createShaderModule = function (shader) {
    const code = shader.label?.includes(kernel) ? shader.code.replaceAll(right, wrongly) : shader.code;
    return createShaderModule.call(this, { ...shader, code });
  };
}
// The adapter gives itself out for a graphics card.
if (plan.has('card')) {
  for (const name of ['vendor', 'architecture', 'device', 'description']) {
    Object.defineProperty(GPUAdapterInfo.prototype, name, { get: () => 'card' });
  }
  Object.defineProperty(GPUAdapterInfo.prototype, 'isFallbackAdapter', { get: () => false });
}
// The lock that tells the page of a death comes late.
if (plan.has('late')) {
  const { request } = LockManager.prototype;
  LockManager.prototype.request = async function (...args) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    return request.apply(this, args);
  };
}
// The device has so much memory, in GB.
if (plan.has('memory')) {
  Object.defineProperty(WorkerNavigator.prototype, 'deviceMemory', { get: () => Number(plan.get('memory')) });
}
// A wasm heap grows no further than so many bytes.
if (plan.has('heap')) {
  const { grow } = WebAssembly.Memory.prototype;
  WebAssembly.Memory.prototype.grow = function (pages) {
    if (this.buffer.byteLength + pages * 65536 > Number(plan.get('heap'))) throw new RangeError('no more');
    return grow.call(this, pages);
  };
}
// Images are not decoded while this is pending.
let held = Promise.resolve();
let release = () => {};
const orders = {
  destroy: () => devices.forEach((device) => device.destroy()),
  // A buffer that is both mappable and storage is a validation error.
  invalid: () => devices.forEach((device) => device.createBuffer({ size: 4, usage: 0x81 })),
  count: () => {},
  hold: () => (held = new Promise((resolve) => (release = resolve))),
  release: () => release(),
  // From now on, keys and values have twice the memory that they take.
  limit: () => {
    memory = 2 * keyBytes();
  },
  hang: () => {
    for (;;);
  },
};
const channel = new BroadcastChannel('saboteur');
const { createImageBitmap } = globalThis;
globalThis.createImageBitmap = async (...args) => {
  channel.postMessage({ event: 'decoding' });
  await held;
  return createImageBitmap(...args);
};
channel.onmessage = ({ data }) => {
  if (!(data in orders)) return;
  orders[data]();
  channel.postMessage({ done: data, buffers: buffers.size, rooms, calls });
};
`;

/** How a page is opened whose workers are under control. */
export type SabotagedOptions = PageOptions & {
  /** What workers do from their start. */
  plan?: Plan;
};

/** A page whose workers are under control. */
export async function openSabotaged({ plan = {}, answer, ...options }: SabotagedOptions = {}): Promise<TestPage> {
  const page = await openPage({ ...options, answer: (request) => saboteur(request) ?? answer?.(request) });
  await page.evaluate(installSaboteur, plan);
  return page;
}

/** Serves the patched worker. */
function saboteur(request: Request): Response | undefined {
  const url = new URL(request.url);
  const headers = { 'content-type': 'text/javascript', 'cross-origin-embedder-policy': 'require-corp' };
  if (url.pathname === '/patch.js') return new Response(patch, { headers });
  if (url.pathname !== '/saboteur.js') return undefined;
  // Static imports: a dynamic one would let the page's first message pass before anybody listens.
  return new Response(
    `import ${JSON.stringify(`/patch.js${url.search}`)};\nimport ${JSON.stringify(url.searchParams.get('real'))};`,
    { headers },
  );
}

/** What workers do from their start. */
export interface Plan {
  /** At which of its calls to WebGPU, counted from 1, a device is lost. */
  lost?: number | undefined;
  /** How many results come back wrong. */
  wrong?: number;
  /** What is wrong in the kernels whose label contains this: a text in their code, and what stands there instead. */
  kernel?: [label: string, right: string, wrong: string];
  /** Pretend to be hardware. */
  card?: boolean;
  /** Take locks half a second after they ask for them. */
  late?: boolean;
  /** How many GB they say the device has. */
  memory?: number;
  /** How many bytes a wasm heap may have. */
  heap?: number;
}

/** What {@link installSaboteur} puts on the page. */
export interface Sabotage {
  /** Every worker that was started, oldest first. */
  workers: Worker[];
  /** What workers do that are started from now on: see {@link installSaboteur}. */
  plan: Plan;
  /**
   * Gives an order to the newest worker, and resolves when it was carried out, with its live GPU buffers, the sizes of
   * all that it ever made for keys and values, and its calls to WebGPU. `hold` keeps it from decoding images, and so whoever asks about one in its
   * prefill, until `release`.
   */
  order(
    name: 'destroy' | 'invalid' | 'count' | 'hold' | 'release' | 'limit',
  ): Promise<{ buffers: number; rooms: number[]; calls: number }>;
  /** Makes the newest worker loop without end: it will not say that it does. */
  hang(): void;
  /** Resolves when a worker next decodes an image: its answer has begun, and vision and prompt are still to come. */
  decoding(): Promise<unknown>;
}

declare global {
  // oxlint-disable-next-line no-var -- only `var` declares a global
  var sabotage: Sabotage;
}

/** Runs in the page: workers started from now on are under control. */
export function installSaboteur(plan: Plan): void {
  const workers: Worker[] = [];
  const RealWorker = globalThis.Worker;
  globalThis.Worker = class extends RealWorker {
    constructor(url: string | URL, options?: WorkerOptions) {
      const query = new URLSearchParams({ real: String(url) });
      if (plan.lost) query.set('lost', String(plan.lost));
      if (plan.wrong) query.set('wrong', String(plan.wrong));
      if (plan.kernel) query.set('kernel', JSON.stringify(plan.kernel));
      if (plan.card) query.set('card', '');
      if (plan.late) query.set('late', '');
      if (plan.memory) query.set('memory', String(plan.memory));
      if (plan.heap) query.set('heap', String(plan.heap));
      super(`/saboteur.js?${query}`, options);
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
  Object.assign(globalThis, { sabotage: { workers, plan, order, hang, decoding } });
}
