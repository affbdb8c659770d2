/**
 * A module that replaces onnxruntime in our worker: it wraps the real one and records when each graph ran. transformers.js
 * bundles its own, so these measures are not compared.
 *
 * @param {string} real URL of the real script
 * @param {boolean} [capture] false: sessions that would capture runs are not created, after which the worker opens the
 *   graph again without: it has no option for that
 */
export const timedOrt = (real, capture = true) => `
import * as ort from ${JSON.stringify(real)};
export * from ${JSON.stringify(real)};
const { spans, runs, now } = globalThis.counted;
const kinds = { pixel_values: 'vision', input_ids: 'embed', inputs_embeds: 'decoder' };
let running = false;
const timed = (run, nameOf) => async (...args) => {
  // A run through the API calls the module.
  if (running) return run(...args);
  running = true;
  const from = now();
  try {
    return await run(...args);
  } finally {
    running = false;
    const name = nameOf(...args);
    spans.push([from, now()]);
    runs[name] = (runs[name] ?? 0) + 1;
  }
};
const names = new Map();
const wrapped = new Set();
async function create(...args) {
  // The option is a getter that answers once: it is not read here.
  if (!${capture} && 'enableGraphCapture' in args.at(-1)) throw new Error('the benchmark measures without capture');
  const session = await ort.InferenceSession.create(...args);
  const kind = Object.keys(kinds).find((name) => session.inputNames.includes(name));
  const name = kinds[kind] ?? 'other';
  session.run = timed(session.run.bind(session), () => name);
  names.set(session.handler?.sessionId, name);
  // Runs of bound tensors go past the API.
  for (const module of Object.values(globalThis.nearsightOrtModules ?? {})) {
    if (wrapped.has(module)) continue;
    wrapped.add(module);
    module._OrtRunWithBinding = timed(module._OrtRunWithBinding, (handle) => names.get(handle) ?? 'other');
  }
  return session;
}
export const InferenceSession = { create };
`;
