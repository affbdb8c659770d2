/**
 * Runs in a worker before its own code (`serveCounters` sees to that): counts what the worker asks of WebGPU.
 *
 * **What a wait is.** The GPU gives promises for things that it has yet to do: `mapAsync`, `onSubmittedWorkDone`,
 * `popErrorScope`. A program that works ahead submits its next commands whether or not they have settled; one that
 * needs the answer first stands still. So each such promise is held back until something is submitted after it was
 * made. If nothing is for `hold` milliseconds, the program was waiting for it: it is let go, and counted as one wait.
 * That makes the number exact, however fast the GPU is. (Held back, the program is slower; times are taken with `hold`
 * 0, where a wait is a promise during whose whole life nothing was submitted.) The last promise of an answer has
 * nothing after it: per-token counts are differences between a long and a short answer, in which ends cancel out.
 *
 * **Without a GPU.** With `idle` on, nothing is submitted and promises settle at once: what a token takes then is the
 * program's own work, JavaScript and wasm. What it reads back is what came when promises were last held.
 *
 * It obeys over a BroadcastChannel whose name is in the worker's URL; see `../counters.mjs` for the page's side.
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
/** The event loop comes round so often within `hold`: a thread that others keep from running does not wait meanwhile. */
const TURNS = 10;
let idle = false;

/** Promises that would have settled, were something submitted: called when it is. @type {Set<() => void>} */
const held = new Set();
/** Buffers whose mapping is only pretended. @type {WeakSet<GPUBuffer>} */
const pretended = new WeakSet();
/** What was read back while promises were held, the last of each size. @type {Map<number, Uint8Array>} */
const lastRead = new Map();
/** Sizes of the buffers that are alive. @type {Map<GPUBuffer, number>} */
const live = new Map();
/** When the GPU or ONNX Runtime was at work, in milliseconds since 1970. @type {[number, number][]} */
const spans = [];
/** Runs of each graph, by what it is. @type {Record<string, number>} */
const runs = {};

const now = () => performance.timeOrigin + performance.now();

/**
 * @template T
 * @param {Promise<T>} promise
 * @returns {Promise<T>}
 */
async function watched(promise) {
  const before = counts.submits;
  const from = now();
  const value = await promise;
  spans.push([from, now()]);
  if (counts.submits > before) return value;
  if (hold === 0) counts.waits++;
  else await nextSubmit();
  return value;
}

/** Resolves when something is submitted, or counts a wait. @returns {Promise<void>} */
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
function born(buffer) {
  counts.buffers++;
  counts.bufferBytes += buffer.size;
  live.set(buffer, buffer.size);
  counts.liveBytes += buffer.size;
  counts.peakBytes = Math.max(counts.peakBytes, counts.liveBytes);
}

/** @param {GPUBuffer} buffer */
function gone(buffer) {
  counts.liveBytes -= live.get(buffer) ?? 0;
  live.delete(buffer);
}

/**
 * Something that was read back before, over and over if more is wanted now: best a whole number of times, because what
 * is read back in lots is a row of entries.
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
    born(buffer);
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
    return idle ? Promise.resolve(null) : watched(popped);
  };
  const { destroy, mapAsync, getMappedRange, unmap } = GPUBuffer.prototype;
  GPUBuffer.prototype.destroy = function () {
    gone(this);
    return destroy.call(this);
  };
  GPUBuffer.prototype.mapAsync = function (mode, offset = 0, wanted) {
    const size = wanted ?? this.size - offset;
    counts.maps++;
    if (mode === READ) counts.readBytes += size;
    if (!idle || mode !== READ) return watched(mapAsync.call(this, mode, offset, size));
    pretended.add(this);
    return Promise.resolve(undefined);
  };
  GPUBuffer.prototype.getMappedRange = function (offset = 0, wanted) {
    const size = wanted ?? this.size - offset;
    if (pretended.has(this)) return lastReadOf(size);
    const bytes = getMappedRange.call(this, offset, size);
    if (hold > 0) lastRead.set(size, new Uint8Array(bytes.slice(0)));
    return bytes;
  };
  GPUBuffer.prototype.unmap = function () {
    if (!pretended.delete(this)) unmap.call(this);
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
    return idle ? Promise.resolve(undefined) : watched(onSubmittedWorkDone.call(this));
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
const orders = {
  take: () => {},
  hold: (value) => {
    hold = value;
    // On Dawn, both sides read in this thread: what one read before says nothing about the other.
    if (hold > 0) lastRead.clear();
  },
  idle: (value) => (idle = value !== 0),
};

/**
 * @param {string} order
 * @param {number} value
 * @returns {import('../counters.mjs').Told}
 */
function obey(order, value) {
  orders[order]?.(value);
  const told = { ...counts, spans: spans.splice(0), runs: { ...runs } };
  // The next high-water mark is that of what follows.
  counts.peakBytes = counts.liveBytes;
  return told;
}

const name = new URL(location.href).searchParams.get('counters');
if (name) {
  const channel = new BroadcastChannel(name);
  channel.onmessage = ({ data: { order, value, id } }) => {
    if (order) channel.postMessage({ id, told: obey(order, value) });
  };
}

/** For whoever runs in the same thread: scripts that stand in front of onnxruntime, and the benchmark on Dawn. */
Object.assign(globalThis, { counted: { spans, runs, now, obey } });

if ('GPUDevice' in globalThis) {
  countBuffers();
  countWork();
}
