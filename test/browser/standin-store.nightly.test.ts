// @module-tag nightly
/** The whole way of a real model's size: from the hub to the disk, through an interruption, and from there without a network. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { fillStandin, standinAvailable, standinFolder } from '../../tools/standin.mjs';
import { startHub } from '../hub/hub-server.ts';
import { browserName, openPage, strictPolicy } from './harness/harness.ts';

const ID = 'HuggingFaceTB/SmolVLM-256M-Instruct';
const COMMIT = '89'.repeat(20);

if (!standinAvailable) console.warn('Skipped: the full-size stand-in for SmolVLM-256M is not on this machine.');

/** Paths below the stand-in's folder, of its configs and its q4 graphs. */
function standinFiles(): Record<string, string> {
  const names = readdirSync(standinFolder, { recursive: true, encoding: 'utf8' });
  const wanted = names.filter((name) => /^[\w]+\.json$/.test(name) || /^onnx\/\w+_q4\.onnx$/.test(name));
  return Object.fromEntries(wanted.map((name) => [name, join(standinFolder, name)]));
}

interface Visit {
  seconds: number;
  /** Of the load, on the page's thread, in milliseconds. */
  longestTask: number;
  text: string;
  storage: unknown;
}

/** Runs in the page: loads, asks, and disposes. */
async function visit(baseURL: string, hub: string): Promise<Visit> {
  const near = nearsight.createNearsight({ model: { hub, baseURL, dtype: 'q4' }, device: 'wasm' });
  let [seconds, storage]: [number, unknown] = [0, undefined];
  const longestTask = await longest(async () => {
    const start = performance.now();
    ({ storage } = await near.load());
    seconds = (performance.now() - start) / 1000;
  });
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = 200;
  canvas.getContext('2d')!.fillRect(20, 40, 90, 60);
  const image = await new Promise<Blob>((resolve) => canvas.toBlob((made) => resolve(made!)));
  let text = '';
  for await (const piece of near.ask(image, 'What is this?', { maxTokens: 4 })) text += piece;
  near.dispose();
  return { seconds, longestTask, text, storage };
}

describe.skipIf(!standinAvailable)('SmolVLM-256M at full size, with random weights', () => {
  test('is downloaded from the hub, resumed, verified, and opened again with the network gone', async () => {
    fillStandin('q4');
    const files = standinFiles();
    const hub = await startHub({
      repositories: [{ id: ID, revisions: { [COMMIT]: files }, branches: { main: COMMIT }, license: 'apache-2.0' }],
    });
    const policy = strictPolicy.replace("connect-src 'self'", `connect-src 'self' ${hub.origin} ${hub.cdn}`);
    await using page = await openPage({ policy });
    const stopped = await page.evaluate(
      async (baseURL, hub) => {
        const near = nearsight.createNearsight({ model: { hub, baseURL, dtype: 'q4' }, device: 'wasm' });
        const stop = new AbortController();
        let bytes = 0;
        near.status.subscribe((value) => {
          if (value.state !== 'downloading') return;
          bytes = value.loadedBytes;
          if (bytes > value.totalBytes / 3) stop.abort();
        });
        const name = await near.load({ signal: stop.signal }).catch((error: Error) => error.name);
        near.dispose();
        return { name, bytes };
      },
      hub.origin,
      ID,
    );
    expect(stopped.name).toBe('AbortError');
    expect(stopped.bytes).toBeGreaterThan(50e6);
    const first = await page.evaluate(visit, hub.origin, ID);
    const [model] = await page.evaluate(() => storage.list());
    expect(model).toMatchObject({ id: ID, revision: COMMIT, complete: true });
    const sent = hub.requests.reduce((sum, { bytes, hop }) => sum + (hop === 'cdn' || hop === 'cache' ? bytes : 0), 0);
    // What six connections had of a segment when the first load stopped, and what the browser had not handed over yet.
    expect(sent).toBeLessThan(model!.totalBytes * 1.25);
    await hub.close();
    await page.page.reload();
    await page.page.waitForFunction(() => 'nearsight' in globalThis);
    const second = await page.evaluate(visit, hub.origin, ID);
    expect(second).toMatchObject({ text: first.text, storage: { kind: 'disk' } });
    const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;
    console.log(
      `${browserName}: ${megabytes(model!.totalBytes)}, sent ${megabytes(sent)}, stopped at ${megabytes(stopped.bytes)}; ` +
        `ready after ${first.seconds.toFixed(1)} s, from the disk after ${second.seconds.toFixed(1)} s; ` +
        `longest tasks ${first.longestTask.toFixed(0)} and ${second.longestTask.toFixed(0)} ms`,
    );
  }, 900_000);
});
