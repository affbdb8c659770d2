/**
 * A module that replaces onnxruntime in our worker: it wraps the real one and records when each graph ran. transformers.js
 * bundles its own, so these measures are not compared.
 *
 * @param {string} real URL of the real script
 */
export const timedOrt = (real) => `
import * as ort from ${JSON.stringify(real)};
export * from ${JSON.stringify(real)};
const { spans, runs, now } = globalThis.counted;
const kinds = { pixel_values: 'vision', input_ids: 'embed', inputs_embeds: 'decoder' };
async function create(...args) {
  const session = await ort.InferenceSession.create(...args);
  const kind = Object.keys(kinds).find((name) => session.inputNames.includes(name));
  const run = session.run.bind(session);
  session.run = async (...args) => {
    const from = now();
    try {
      return await run(...args);
    } finally {
      const name = kinds[kind] ?? 'other';
      spans.push([from, now()]);
      runs[name] = (runs[name] ?? 0) + 1;
    }
  };
  return session;
}
export const InferenceSession = { create };
`;
