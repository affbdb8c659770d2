// size: the patch of the worker is one script
import { openPage, type PageOptions, type TestPage } from './harness.ts';

/**
 * Runs in the worker before the library's own code, which is unchanged: records GPU devices and buffers, and injects
 * faults. The fault plan is in the worker's URL; later commands come over a BroadcastChannel.
 */
const patch = `
const plan = new URL(import.meta.url).searchParams;
const devices = new Set();
const buffers = new Set();
// The KV cache: the sizes of all buffers ever created for its tensors, and how many bytes it may take.
const kvBufferSizes = [];
const isKv = ({ label }) => label?.startsWith('past_key_values.');
const kvBytes = () => [...buffers].filter(isKv).reduce((sum, { size }) => sum + size, 0);
let maxKvBytes = Infinity;
if (globalThis.GPUAdapter) {
  const { requestDevice } = GPUAdapter.prototype;
  GPUAdapter.prototype.requestDevice = async function (...args) {
    const device = await requestDevice.apply(this, args);
    devices.add(device);
    return device;
  };
  const { createBuffer } = GPUDevice.prototype;
  GPUDevice.prototype.createBuffer = function (descriptor) {
    if (isKv(descriptor) && kvBytes() + descriptor.size > maxKvBytes) {
      // A software adapter accepts buffers that the machine has no memory for. A texture of the maximum size is one that it
      // rejects, so the out-of-memory error is a real one.
      const edge = this.limits.maxTextureDimension3D;
      this.createTexture({ size: [edge, edge, edge], dimension: '3d', format: 'rgba32float', usage: 1 }).destroy();
      return createBuffer.call(this, { ...descriptor, size: 4 });
    }
    const buffer = createBuffer.call(this, descriptor);
    buffers.add(buffer);
    if (isKv(descriptor) && !descriptor.label.endsWith(' spare')) kvBufferSizes.push(buffer.size);
    return buffer;
  };
  const { destroy } = GPUBuffer.prototype;
  GPUBuffer.prototype.destroy = function () {
    buffers.delete(this);
    return destroy.apply(this);
  };
}
// Counts calls, and loses the device at the planned one.
let calls = 0;
const lostAtCall = Number(plan.get('lostAtCall') ?? Infinity);
const countedCalls = globalThis.GPUDevice && [
  [GPUDevice, 'createBuffer', 'createBindGroup', 'createShaderModule', 'createComputePipelineAsync', 'createCommandEncoder'],
  [GPUQueue, 'submit', 'writeBuffer'],
  [GPUBuffer, 'mapAsync'],
];
for (const [{ prototype }, ...names] of countedCalls ?? []) {
  for (const name of names) {
    const call = prototype[name];
    prototype[name] = function (...args) {
      if (++calls === lostAtCall) commands.destroy();
      return call.apply(this, args);
    };
  }
}
// Corrupts the first results that the library reads back.
let wrongReadbacks = Number(plan.get('wrongReadbacks'));
if (wrongReadbacks > 0) {
  const { getMappedRange } = GPUBuffer.prototype;
  GPUBuffer.prototype.getMappedRange = function (...args) {
    const range = getMappedRange.apply(this, args);
    // Short readbacks only measure times.
    if (this.label === 'readback' && range.byteLength > 64 && wrongReadbacks-- > 0) new Float32Array(range)[7] += 100;
    return range;
  };
}
// Breaks one of onnxruntime's kernels.
const [kernel, right, wrong] = JSON.parse(plan.get('kernel') ?? '[]');
if (kernel) {
  const { createShaderModule } = GPUDevice.prototype;
  GPUDevice.prototype.createShaderModule = function (shader) {
    const code = shader.label?.includes(kernel) ? shader.code.replaceAll(right, wrong) : shader.code;
    return createShaderModule.call(this, { ...shader, code });
  };
}
// A software adapter reports itself as hardware.
if (plan.has('hardwareAdapter')) {
  for (const name of ['vendor', 'architecture', 'device', 'description']) {
    Object.defineProperty(GPUAdapterInfo.prototype, name, { get: () => 'card' });
  }
  Object.defineProperty(GPUAdapterInfo.prototype, 'isFallbackAdapter', { get: () => false });
}
// Delays the lock by which the page notices that the worker died.
if (plan.has('lateLock')) {
  const { request } = LockManager.prototype;
  LockManager.prototype.request = async function (...args) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    return request.apply(this, args);
  };
}
// As where the visitor blocks site data.
if (plan.has('deniedLocks')) {
  LockManager.prototype.request = () => Promise.reject(new DOMException('denied', 'SecurityError'));
}
// As in some private windows.
if (plan.has('noFiles')) {
  StorageManager.prototype.getDirectory = () => Promise.reject(new DOMException('denied', 'SecurityError'));
}
// The clock goes backwards, an hour at each look.
if (plan.has('clockBackwards')) {
  let now = Date.now();
  Date.now = () => (now -= 3_600_000);
}
// What the browser says is free.
if (plan.has('freeBytes')) {
  StorageManager.prototype.estimate = async () => ({ usage: 0, quota: Number(plan.get('freeBytes')) });
}
// Kills the worker in the middle of the write to the disk that reaches the planned byte, or finds the disk full there.
let written = 0;
const [killAtByte, fullAtByte] = ['killAtByte', 'fullAtByte'].map((name) => Number(plan.get(name) ?? Infinity));
if (globalThis.FileSystemSyncAccessHandle) {
  const { write } = FileSystemSyncAccessHandle.prototype;
  FileSystemSyncAccessHandle.prototype.write = function (bytes, options) {
    written += bytes.length;
    if (written >= fullAtByte) throw new DOMException('full', 'QuotaExceededError');
    if (written >= killAtByte) {
      write.call(this, bytes.subarray(0, bytes.length / 2), options);
      new BroadcastChannel('faults').postMessage({ event: 'kill' });
      for (;;);
    }
    return write.call(this, bytes, options);
  };
}
// A damaged disk: files of that length cannot be read until one is deleted.
let unreadableBytes = Number(plan.get('unreadableBytes'));
if (unreadableBytes > 0) {
  const { arrayBuffer } = Blob.prototype;
  Blob.prototype.arrayBuffer = async function () {
    if (this.size === unreadableBytes) throw new DOMException('damaged', 'NotReadableError');
    return arrayBuffer.call(this);
  };
  const { removeEntry } = FileSystemDirectoryHandle.prototype;
  FileSystemDirectoryHandle.prototype.removeEntry = function (...args) {
    unreadableBytes = 0;
    return removeEntry.apply(this, args);
  };
}
// No memory for the whole of a file of that length. Slices are no files.
const unreadableAtOnce = Number(plan.get('unreadableAtOnce'));
if (unreadableAtOnce > 0) {
  const { arrayBuffer } = Blob.prototype;
  Blob.prototype.arrayBuffer = async function () {
    if (this instanceof File && this.size === unreadableAtOnce) throw new RangeError('no memory');
    return arrayBuffer.call(this);
  };
}
// Browsers release the locks of a worker that was ended before they close its files.
let stillOpen = Number(plan.get('stillOpen'));
if (stillOpen > 0) {
  const { createSyncAccessHandle } = FileSystemFileHandle.prototype;
  FileSystemFileHandle.prototype.createSyncAccessHandle = async function (...args) {
    if (stillOpen-- > 0) throw new DOMException('open', 'NoModificationAllowedError');
    return createSyncAccessHandle.apply(this, args);
  };
}
// Features that a browser lacks, or that a setting turned off.
for (const name of JSON.parse(plan.get('without') ?? '[]')) delete globalThis[name];
// The GPU process has crashed; an early implementation; a driver that hangs.
const requestAdapter = {
  rejects: () => Promise.reject(new DOMException('crashed', 'OperationError')),
  'has no info': async () => ({ features: new Set(), limits: {} }),
  'never answers': () => new Promise(() => {}),
}[plan.get('adapter')];
if (requestAdapter) GPU.prototype.requestAdapter = requestAdapter;
// Device memory in GB.
if (plan.has('deviceMemory')) {
  Object.defineProperty(WorkerNavigator.prototype, 'deviceMemory', { get: () => Number(plan.get('deviceMemory')) });
}
// Limits the wasm heap.
if (plan.has('maxHeapBytes')) {
  const { grow } = WebAssembly.Memory.prototype;
  WebAssembly.Memory.prototype.grow = function (pages) {
    if (this.buffer.byteLength + pages * 65536 > Number(plan.get('maxHeapBytes'))) throw new RangeError('no more');
    return grow.call(this, pages);
  };
}
// No image is decoded while this is pending.
let held = Promise.resolve();
let release = () => {};
const commands = {
  destroy: () => devices.forEach((device) => device.destroy()),
  // A buffer that is both mappable and storage is a validation error.
  invalid: () => devices.forEach((device) => device.createBuffer({ size: 4, usage: 0x81 })),
  count: () => {},
  hold: () => (held = new Promise((resolve) => (release = resolve))),
  release: () => release(),
  releaseOne: () => {
    release();
    void commands.hold();
  },
  // From now on the KV cache may take at most twice the memory that it has.
  limit: () => {
    maxKvBytes = 2 * kvBytes();
  },
  hang: () => {
    for (;;);
  },
};
const channel = new BroadcastChannel('faults');
const { createImageBitmap } = globalThis;
globalThis.createImageBitmap = async (...args) => {
  channel.postMessage({ event: 'decoding' });
  await held;
  return createImageBitmap(...args);
};
channel.onmessage = ({ data }) => {
  if (!(data in commands)) return;
  commands[data]();
  channel.postMessage({ done: data, buffers: buffers.size, kvBufferSizes, calls });
};
`;

/** Options of a page with fault injection. */
export type FaultPageOptions = PageOptions & {
  /** Faults of every worker from its start. */
  plan?: FaultPlan;
};

/** A page whose workers have fault injection. */
export async function openPageWithFaults({ plan = {}, answer, ...options }: FaultPageOptions = {}): Promise<TestPage> {
  const page = await openPage({ ...options, answer: (request) => serveFaultyWorker(request) ?? answer?.(request) });
  await page.evaluate(installFaults, plan);
  return page;
}

/** Serves the worker with the patch in front of it. */
function serveFaultyWorker(request: Request): Response | undefined {
  const url = new URL(request.url);
  const headers = { 'content-type': 'text/javascript', 'cross-origin-embedder-policy': 'require-corp' };
  if (url.pathname === '/patch.js') return new Response(patch, { headers });
  if (url.pathname !== '/faulty-worker.js') return undefined;
  // Static imports: with a dynamic one, the page's first message would come before there is a listener.
  return new Response(
    `import ${JSON.stringify(`/patch.js${url.search}`)};\nimport ${JSON.stringify(url.searchParams.get('real'))};`,
    { headers },
  );
}

/** The faults of a worker. */
export interface FaultPlan {
  /** The number of the call to WebGPU, counted from 1, at which the device is lost. */
  lostAtCall?: number | undefined;
  /** How many readbacks are corrupted. */
  wrongReadbacks?: number;
  /** Replaces `right` by `wrong` in the code of the kernels whose label contains `label`. */
  kernel?: [label: string, right: string, wrong: string];
  /** The software adapter reports itself as hardware. */
  hardwareAdapter?: boolean;
  /** Locks are taken half a second after they are requested. */
  lateLock?: boolean;
  /** The browser denies locks to the worker. */
  deniedLocks?: boolean;
  /** The browser denies the private file system. */
  noFiles?: boolean;
  /** The clock goes backwards, an hour at each look. */
  clockBackwards?: boolean;
  /** Bytes that the browser says are free. */
  freeBytes?: number;
  /** The worker is killed in the middle of the write to the disk that reaches this many bytes. */
  killAtByte?: number;
  /** The disk is full from this many bytes on. */
  fullAtByte?: number;
  /** Stored files of this length cannot be read until one is deleted. */
  unreadableBytes?: number;
  /** Stored files of this length can be read in pieces only. */
  unreadableAtOnce?: number;
  /** How many times a file that the worker opens is still open elsewhere. */
  stillOpen?: number;
  /** Globals that the worker has not. */
  without?: string[];
  /** How `requestAdapter` fails. */
  adapter?: 'rejects' | 'has no info' | 'never answers';
  /** `navigator.deviceMemory`, in GB. */
  deviceMemory?: number;
  /** The maximum size of a wasm heap, in bytes. */
  maxHeapBytes?: number;
}

/** The page's global `faults`, which {@link installFaults} creates. */
export interface Faults {
  /** All workers that were started, oldest first. */
  workers: Worker[];
  /** The faults of workers that are started from now on. */
  plan: FaultPlan;
  /**
   * Sends a command to the newest worker, and resolves when it was carried out. `hold` keeps the worker from decoding
   * images, and so keeps a request with an image in its prefill, until `release`; `releaseOne` holds the next one.
   *
   * @returns live GPU buffers; the sizes of all buffers ever created for the KV cache; calls to WebGPU so far
   */
  command(
    name: 'destroy' | 'invalid' | 'count' | 'hold' | 'release' | 'releaseOne' | 'limit',
  ): Promise<{ buffers: number; kvBufferSizes: number[]; calls: number }>;
  /** Makes the newest worker loop forever. There is no reply. */
  hang(): void;
  /** Resolves when a worker next decodes an image: the request has started, before its vision encoding and prefill. */
  decoding(): Promise<unknown>;
}

declare global {
  // oxlint-disable-next-line no-var -- only `var` declares a global
  var faults: Faults;
}

/** Runs in the page: workers started from now on have fault injection. */
export function installFaults(plan: FaultPlan): void {
  const workers: Worker[] = [];
  const RealWorker = globalThis.Worker;
  globalThis.Worker = class extends RealWorker {
    constructor(url: string | URL, options?: WorkerOptions) {
      const query = new URLSearchParams({ real: String(url) });
      for (const [name, value] of Object.entries(plan)) {
        if (value) query.set(name, typeof value === 'object' ? JSON.stringify(value) : String(value));
      }
      super(`/faulty-worker.js?${query}`, options);
      workers.push(this);
    }
  };
  const channel = new BroadcastChannel('faults');
  const nextMessage = (matches: (data: { done?: string; event?: string }) => boolean): Promise<unknown> =>
    new Promise((resolve) => {
      const onMessage = ({ data }: MessageEvent): void => {
        if (!matches(data)) return;
        channel.removeEventListener('message', onMessage);
        resolve(data);
      };
      channel.addEventListener('message', onMessage);
    });
  channel.addEventListener('message', ({ data }: MessageEvent) => {
    if (data.event === 'kill') workers.at(-1)?.terminate();
  });
  const command = (name: string): Promise<unknown> => {
    const done = nextMessage((data) => data.done === name);
    channel.postMessage(name);
    return done;
  };
  const hang = (): void => channel.postMessage('hang');
  const decoding = (): Promise<unknown> => nextMessage(({ event }) => event === 'decoding');
  Object.assign(globalThis, { faults: { workers, plan, command, hang, decoding } });
}
