/**
 * Asks a model through the built package in Node on Dawn, as a page does.
 *
 *     echo '{"model": …, "requests": [ … ]}' | node test/node/engines/dawn-page.mjs
 *
 * Prints the facts of the load and the responses as one line of JSON.
 */
import { readFileSync } from 'node:fs';
import process, { exit, stdout } from 'node:process';
import sharp from 'sharp';
import { installBrowserGlobals } from '../../../bench/dawn/browser-globals.mjs';

/** @type {{ model: import('nearsight').ModelSpec, requests: object[] }} */
const { model, requests } = JSON.parse(readFileSync(0, 'utf8'));

installBrowserGlobals();
// In Node, transformers.js looks for another onnxruntime.
Object.defineProperty(process, 'release', { value: { name: 'page' } });
/** @param {Blob} blob */
globalThis.createImageBitmap = async (blob) => {
  const image = sharp(await blob.arrayBuffer())
    .toColourspace('srgb')
    .ensureAlpha();
  const { data, info } = await image.raw().toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, data: new Uint8ClampedArray(data), close() {} };
};

const { createNearsight } = await import('nearsight');
const near = createNearsight({ model, device: 'webgpu' });
const facts = await near.load();
const answers = [];
for (const request of requests) {
  const body = JSON.stringify({ model: model.id, ...request });
  const response = await near.fetch('https://integrate.api.nvidia.com/v1/chat/completions', { method: 'POST', body });
  answers.push(await response.json());
}
stdout.write(`${JSON.stringify({ facts, answers })}\n`, () => {
  // Dawn and the message channels would keep the process alive.
  exit(0);
});
