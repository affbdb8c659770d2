/**
 * Bytes that some work allocates on V8's heap, garbage included, by V8's own sampling heap profiler: a sample every 512 bytes on
 * average, weighted by its size, from which the sum is within 2 % of what loops of known allocations take. The heap's growth
 * would not do, because garbage is collected meanwhile. Contents of array buffers, wasm's heap and the driver's memory are not
 * V8's. What the benchmark and its counters allocate is left out.
 */
import { Session } from 'node:inspector/promises';

/** @typedef {import('node:inspector').HeapProfiler.SamplingHeapProfile} Profile */

/** Bytes between two samples, on average. */
const INTERVAL = 512;

/** The benchmark's own scripts; the wrapper of ONNX Runtime is in a temporary folder (`our-side.mjs`). */
const OWN = /\/bench\/|\/tools\/counters\/|\/nearsight-bench-[^/]*\/ort\.webgpu\./;

const session = new Session();
session.connect();

/**
 * @param {() => Promise<unknown>} work
 * @returns {Promise<{ bytes: number, profile: Profile }>} the profile: as DevTools opens it from a file `*.heapprofile`
 */
export async function allocated(work) {
  await session.post('HeapProfiler.startSampling', {
    samplingInterval: INTERVAL,
    includeObjectsCollectedByMajorGC: true,
    includeObjectsCollectedByMinorGC: true,
  });
  await work();
  const { profile } = await session.post('HeapProfiler.stopSampling');
  return { bytes: bytesOf(profile.head), profile };
}

/**
 * @param {Profile['head']} node
 * @param {boolean} [own] whether it was called by a script of the benchmark: built-in functions count as their caller
 * @returns {number}
 */
function bytesOf({ callFrame: { url }, selfSize, children }, own = false) {
  const isOwn = url === '' || url.startsWith('node:') ? own : OWN.test(url);
  return children.reduce((sum, child) => sum + bytesOf(child, isOwn), isOwn ? 0 : selfSize);
}
