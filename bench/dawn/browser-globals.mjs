/**
 * The browser globals that Node lacks, so that the built package runs in Node on Dawn without changes. Page and worker
 * share one thread here, and communicate through a MessageChannel.
 *
 * Import this before any module that looks for WebGPU.
 */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { cwd } from 'node:process';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { create, globals } from 'webgpu';
import { acceptSharedMemory } from '../../tools/dawn.mjs';
import { decodePng } from './png.mjs';

Object.assign(globalThis, globals);

/** The page requests the worker's lock to notice its death. Here page and worker end together. */
const locks = {
  /**
   * @param {string} _name
   * @param {{ signal: AbortSignal } | (() => Promise<never>)} options
   * @returns {Promise<never>}
   */
  request: (_name, options) =>
    typeof options === 'function'
      ? options()
      : new Promise((_, reject) => {
          options.signal.addEventListener('abort', () => reject(options.signal.reason));
        }),
};

/** The ends of all workers' channels that their scripts use. @type {MessagePort[]} */
const scopes = [];

/**
 * Runs a worker's script in this thread. A script that listens does so when it starts, so several can run if each is started
 * when the one before has. What one posts, the pages of all get: Comlink drops what is no answer to a call of its own.
 */
class InlineWorker {
  #port;

  /** @param {URL} url */
  constructor(url) {
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    scopes.push(port2);
    Object.assign(globalThis, {
      addEventListener: port2.addEventListener.bind(port2),
      removeEventListener: port2.removeEventListener.bind(port2),
      /** @param {unknown} message */
      postMessage(message) {
        for (const scope of scopes) scope.postMessage(message);
      },
    });
    port1.start();
    // Each has an instance of the script.
    void import(`${url.href}?${scopes.length}`).then(() => port2.start());
  }

  /** @param {Parameters<MessagePort['addEventListener']>} args */
  addEventListener(...args) {
    this.#port.addEventListener(...args);
  }

  /** @param {Parameters<MessagePort['removeEventListener']>} args */
  removeEventListener(...args) {
    this.#port.removeEventListener(...args);
  }

  /**
   * @param {unknown} message
   * @param {Transferable[]} [transfer]
   */
  postMessage(message, transfer = []) {
    this.#port.postMessage(message, transfer);
  }

  terminate() {
    this.#port.close();
  }
}

/** A canvas that returns the pixels of a bitmap from `createImageBitmap` below. */
class InlineCanvas {
  getContext() {
    /** @type {Uint8ClampedArray} */
    let data = new Uint8ClampedArray();
    let width = 0;
    let top = 0;
    return {
      clearRect() {},
      /** @param {number} w @param {number} h */
      createImageData: (w, h) => ({ width: w, height: h, data: new Uint8ClampedArray(w * h * 4) }),
      /** @param {{ width: number, data: Uint8ClampedArray }} image */
      putImageData(image) {
        ({ data, width } = image);
        top = 0;
      },
      /** @param {{ width: number, data: Uint8ClampedArray }} bitmap @param {number} _x @param {number} y */
      drawImage(bitmap, _x, y) {
        ({ data, width } = bitmap);
        top = -y;
      },
      /** @param {number} _x @param {number} _y @param {number} w @param {number} h */
      getImageData: (_x, _y, w, h) => ({
        width: w,
        height: h,
        data: data.subarray(top * width * 4, (top + h) * width * 4),
      }),
    };
  }
}

/** @param {Blob} blob */
async function createImageBitmap(blob) {
  return { ...decodePng(Buffer.from(await blob.arrayBuffer())), close() {} };
}

/** @param {unknown} input */
async function fetchFile(input) {
  const url = String(input);
  if (!url.startsWith('file:')) throw new TypeError(`this benchmark can only fetch file: URLs, not ${url}`);
  return new Response(readFileSync(fileURLToPath(url)));
}

/** @param {string[]} options of Dawn, such as `backend=vulkan` */
export function installBrowserGlobals(options = []) {
  acceptSharedMemory();
  const values = {
    navigator: { gpu: create(options), hardwareConcurrency: availableParallelism(), locks },
    location: { href: `${pathToFileURL(cwd()).href}/?counters=dawn` },
    isSecureContext: true,
    OffscreenCanvas: InlineCanvas,
    createImageBitmap,
    fetch: fetchFile,
    self: globalThis,
  };
  for (const [name, value] of Object.entries(values)) {
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  }
  // A worker wraps its own scope's, to watch its threads. Here it starts none, and the page needs this one for the next side.
  Object.defineProperty(globalThis, 'Worker', { get: () => InlineWorker, set() {} });
}
