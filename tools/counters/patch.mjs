/**
 * Counts a worker's calls to WebGPU. `serveCounters` makes it run before the worker's own code.
 *
 * **What a wait is.** `mapAsync`, `onSubmittedWorkDone` and `popErrorScope` return promises that settle when the GPU has
 * done its work. A pipelined program submits its next commands before they settle; other programs wait for them. So each
 * such promise is held until the next submission. If there is none for `hold` milliseconds, the program is waiting for
 * the promise: it is released, and counted as one wait. This makes the number exact, however fast the GPU is. Holding
 * promises slows the program down, so times are taken with `hold` 0, where a wait is a promise during which nothing was
 * submitted. Nothing is submitted after the last promise of an answer, so counts per token are differences between a
 * long and a short answer, in which the ends cancel out.
 *
 * **Without a GPU.** With `idle` on, nothing is submitted and promises settle at once. The remaining time of a token is
 * host work: JavaScript and wasm. Readbacks then return what was read when promises were last held.
 *
 * Commands come over a BroadcastChannel whose name is in the worker's URL; `../counters.mjs` is the page's side.
 */

/** @typedef {import('../counters.mjs').Counts} Counts */

/** `GPUMapMode.READ`. */
const READ = 1;

/** @type {Counts} */
const counts = {
  submits: 0,
  dispatches: 0,
  copies: 0,
  pipelines: 0,
  buffers: 0,
  bufferBytes: 0,
  writes: 0,
  writtenBytes: 0,
  maps: 0,
  readBytes: 0,
  workDone: 0,
  errorScopes: 0,
  waits: 0,
  liveBytes: 0,
  peakBytes: 0,
};
let hold = 0;
/** `hold` is split into this many timeouts, so that time in which other processes keep this thread from running does not count. */
const TURNS = 10;
let idle = false;

/** Releases of the held promises, called at the next submission. @type {Set<() => void>} */
const held = new Set();
/** Buffers that are not really mapped, because `idle` is on. @type {WeakSet<GPUBuffer>} */
const fakeMapped = new WeakSet();
/** The last readback of each size while promises were held. @type {Map<number, Uint8Array>} */
const lastRead = new Map();
/** Sizes of the buffers that are not destroyed. @type {Map<GPUBuffer, number>} */
const live = new Map();
/** When the GPU was awaited or ONNX Runtime ran, in milliseconds since 1970. @type {[number, number][]} */
const spans = [];
/** Runs of each graph, by its kind. @type {Record<string, number>} */
const runs = {};

const now = () => performance.timeOrigin + performance.now();

/**
 * @template T
 * @param {Promise<T>} promise
 * @returns {Promise<T>}
 */
async function countWait(promise) {
  const before = counts.submits;
  const from = now();
  const value = await promise;
  spans.push([from, now()]);
  if (counts.submits > before) return value;
  if (hold === 0) counts.waits++;
  else await nextSubmit();
  return value;
}

/** Resolves at the next submission, or counts a wait. @returns {Promise<void>} */
function nextSubmit() {
  return new Promise((resolve) => {
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    const release = () => {
      clearTimeout(timer);
      held.delete(release);
      resolve();
    };
    /** @param {number} turns */
    const wait = (turns) => {
      timer = setTimeout(() => {
        if (turns > 1) return wait(turns - 1);
        counts.waits++;
        release();
      }, hold / TURNS);
    };
    wait(TURNS);
    held.add(release);
  });
}

/** @param {GPUBuffer} buffer */
function bufferCreated(buffer) {
  counts.buffers++;
  counts.bufferBytes += buffer.size;
  live.set(buffer, buffer.size);
  counts.liveBytes += buffer.size;
  counts.peakBytes = Math.max(counts.peakBytes, counts.liveBytes);
}

/** @param {GPUBuffer} buffer */
function bufferDestroyed(buffer) {
  counts.liveBytes -= live.get(buffer) ?? 0;
  live.delete(buffer);
}

/**
 * An earlier readback, repeated up to `size`. A whole number of repetitions is preferred, because the readback of a batch is
 * an array of equal entries.
 *
 * @param {number} size
 */
function lastReadOf(size) {
  const bytes = new Uint8Array(size);
  const lengths = [...lastRead.keys()].filter((length) => length <= size);
  const fitting = lengths.filter((length) => size % length === 0);
  const from = lastRead.get(Math.max(...(fitting.length > 0 ? fitting : lengths))) ?? bytes;
  for (let at = 0; at < size; at += from.length) bytes.set(from.subarray(0, size - at), at);
  return bytes.buffer;
}

function countBuffers() {
  const { createBuffer, createComputePipeline, createComputePipelineAsync, popErrorScope } = GPUDevice.prototype;
  GPUDevice.prototype.createBuffer = function (descriptor) {
    const buffer = createBuffer.call(this, descriptor);
    bufferCreated(buffer);
    return buffer;
  };
  GPUDevice.prototype.createComputePipeline = function (descriptor) {
    counts.pipelines++;
    return createComputePipeline.call(this, descriptor);
  };
  GPUDevice.prototype.createComputePipelineAsync = function (descriptor) {
    counts.pipelines++;
    return createComputePipelineAsync.call(this, descriptor);
  };
  GPUDevice.prototype.popErrorScope = function () {
    counts.errorScopes++;
    const popped = popErrorScope.call(this);
    return idle ? Promise.resolve(null) : countWait(popped);
  };
  const { destroy, mapAsync, getMappedRange, unmap } = GPUBuffer.prototype;
  GPUBuffer.prototype.destroy = function () {
    bufferDestroyed(this);
    return destroy.call(this);
  };
  GPUBuffer.prototype.mapAsync = function (mode, offset = 0, length) {
    const size = length ?? this.size - offset;
    counts.maps++;
    if (mode === READ) counts.readBytes += size;
    if (!idle || mode !== READ) return countWait(mapAsync.call(this, mode, offset, size));
    fakeMapped.add(this);
    return Promise.resolve(undefined);
  };
  GPUBuffer.prototype.getMappedRange = function (offset = 0, length) {
    const size = length ?? this.size - offset;
    if (fakeMapped.has(this)) return lastReadOf(size);
    const bytes = getMappedRange.call(this, offset, size);
    if (hold > 0) lastRead.set(size, new Uint8Array(bytes.slice(0)));
    return bytes;
  };
  GPUBuffer.prototype.unmap = function () {
    if (!fakeMapped.delete(this)) unmap.call(this);
  };
}

function countWork() {
  const { submit, writeBuffer, onSubmittedWorkDone } = GPUQueue.prototype;
  GPUQueue.prototype.submit = function (commands) {
    counts.submits++;
    if (!idle) submit.call(this, commands);
    for (const release of held) release();
  };
  GPUQueue.prototype.writeBuffer = function (...args) {
    const [, , data, from = 0, size] = args;
    counts.writes++;
    const unit = 'BYTES_PER_ELEMENT' in data ? Number(data.BYTES_PER_ELEMENT) : 1;
    counts.writtenBytes += size === undefined ? data.byteLength - from * unit : size * unit;
    return Reflect.apply(writeBuffer, this, args);
  };
  GPUQueue.prototype.onSubmittedWorkDone = function () {
    counts.workDone++;
    return idle ? Promise.resolve(undefined) : countWait(onSubmittedWorkDone.call(this));
  };
  const { dispatchWorkgroups, dispatchWorkgroupsIndirect } = GPUComputePassEncoder.prototype;
  GPUComputePassEncoder.prototype.dispatchWorkgroups = function (...args) {
    counts.dispatches++;
    return dispatchWorkgroups.apply(this, args);
  };
  GPUComputePassEncoder.prototype.dispatchWorkgroupsIndirect = function (...args) {
    counts.dispatches++;
    return dispatchWorkgroupsIndirect.apply(this, args);
  };
  const { copyBufferToBuffer } = GPUCommandEncoder.prototype;
  GPUCommandEncoder.prototype.copyBufferToBuffer = function (/** @type {unknown[]} */ ...args) {
    counts.copies++;
    return Reflect.apply(copyBufferToBuffer, this, args);
  };
}

/** @type {Record<string, (value: number) => void>} */
const commands = {
  take: () => {},
  hold: (value) => {
    hold = value;
    // In the benchmark on Dawn both sides run in this thread, and must not get each other's readbacks.
    if (hold > 0) lastRead.clear();
  },
  idle: (value) => (idle = value !== 0),
};

/**
 * @param {string} command
 * @param {number} value
 * @returns {import('../counters.mjs').CounterReport}
 */
function run(command, value) {
  commands[command]?.(value);
  const report = { ...counts, spans: spans.splice(0), runs: { ...runs } };
  // The next peak is that since this report.
  counts.peakBytes = counts.liveBytes;
  return report;
}

const { searchParams } = new URL(location.href);
const name = searchParams.get('counters');
if (name) {
  const channel = new BroadcastChannel(name);
  channel.onmessage = ({ data: { command, value, id } }) => {
    if (command) channel.postMessage({ id, report: run(command, value) });
  };
}

/** @type {[string, string][]} */
const told = [
  ['gigabytes', 'deviceMemory'],
  ['cores', 'hardwareConcurrency'],
];
for (const [key, property] of told) {
  const value = searchParams.get(key);
  if (value) Object.defineProperty(navigator, property, { value: Number(value) });
}

/** For scripts in the same thread: the wrapper of ONNX Runtime, and the benchmark on Dawn. */
Object.assign(globalThis, { counted: { spans, runs, now, run } });

if ('GPUDevice' in globalThis) {
  countBuffers();
  countWork();
}
