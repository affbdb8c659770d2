// @module-tag long-in-chromium
/** The public API beyond `fetch`: which device is chosen and why, what the status says, what can be freed. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ModelSpec } from 'nearsight';
import { browserName, openPage, type TestPage } from './harness/harness.ts';
import { installRemotePage } from './harness/remote-page.ts';

let page: TestPage;

beforeAll(async () => {
  // Firefox hangs now and then when threads start, and the load that begins anew then would be seen.
  page = await openPage({ isolated: browserName === 'chromium' });
  await page.evaluate(installRemotePage);
});

afterAll(() => page[Symbol.asyncDispose]());

/** `probe()` for glimpse with changes, which must not download anything of the model. */
async function probe(device: 'auto' | 'webgpu' | 'wasm', change: Partial<ModelSpec> | 'huge' | 'f16' | 'no wasm' = {}) {
  const before = page.requests.length;
  const verdict = await page.evaluate(
    async (device, change) => {
      const variants = glimpse.variants.map((variant) => {
        if (change === 'huge') {
          const { file, data } = variant.graphs.embed;
          return { ...variant, graphs: { ...variant.graphs, embed: { file: { ...file, bytes: 2 ** 40 }, data } } };
        }
        if (change === 'f16') return { ...variant, f16: true };
        if (change === 'no wasm') return { ...variant, devices: ['webgpu' as const] };
        return variant;
      });
      const model = { ...glimpse, variants, ...(typeof change === 'object' && change) };
      const near = remotePage.make({ model, device });
      const found = await near.probe();
      const other = await nearsight.createNearsight({ model: glimpse, device }).probe(model);
      const { state } = near.status.value;
      const file = nearsight.createNearsight({ model, device, policy: 'local-only' });
      const refused =
        found.verdict === 'no'
          ? await remotePage.readResponse(await file.fetch(remotePage.url, remotePage.post()))
          : undefined;
      near.dispose();
      file.dispose();
      return { ...found, state, refused, same: JSON.stringify(found) === JSON.stringify(other) };
    },
    device,
    change,
  );
  expect(page.requests.slice(before).filter((url) => /\.(wasm|onnx)/.test(url))).toEqual([]);
  expect(verdict.state).toBe('idle');
  expect(verdict.same).toBe(true);
  return verdict;
}

describe('probe() says, before anything is downloaded,', () => {
  const bytes = expect.any(Number);

  test('that `auto` leaves a software adapter alone for a model that runs well on wasm', async () => {
    const reason = expect.stringContaining('the WebGPU adapter is a software adapter');
    expect(await probe('auto')).toMatchObject({ verdict: 'yes', device: 'wasm', dtype: 'q4', bytes, reason });
  });

  test('that a software adapter is used, slowly, if it is requested by name', async () => {
    const reason = expect.stringContaining('a software adapter');
    expect(await probe('webgpu')).toMatchObject({ verdict: 'slow', device: 'webgpu', bytes, reason });
  });

  test.each([
    ['a model that is slow on wasm', 'auto', { wasm: 'slow' }, 'without a GPU this model is too slow'],
    ['a table that no buffer holds', 'webgpu', 'huge', "the WebGPU adapter's maxBufferSize is"],
    ['a device that a model has no files for', 'wasm', 'no wasm', 'it has no variant for wasm'],
  ] as const)('no to %s, and so does a request: 503, not to be retried', async (_what, device, change, reason) => {
    const { verdict, refused, reason: said } = await probe(device, change);
    expect([verdict, said]).toEqual(['no', expect.stringContaining(reason)]);
    expect(refused).toMatchObject({ status: 503, reason: 'unsupported_device', retry: 'false' });
    expect(refused?.text).toContain(reason);
  });

  test('whether there is shader-f16 for a model that needs it', async () => {
    const verdict = await probe('webgpu', 'f16');
    const lacking = { verdict: 'no', reason: expect.stringContaining('lacks shader-f16') };
    expect(verdict).toMatchObject(browserName === 'firefox' ? { verdict: 'slow', device: 'webgpu' } : lacking);
  });
});

test('the state goes from idle through downloading and preparing to ready, and back to idle after unload()', async () => {
  const seen = await page.evaluate(async () => {
    const near = remotePage.make();
    const states: string[] = [];
    const bytes: number[] = [];
    near.status.subscribe((value) => {
      if (value.state !== states.at(-1)) states.push(value.state);
      if (value.state === 'downloading') bytes.push(value.loadedBytes / value.totalBytes);
    });
    const facts = await near.load();
    const shares = bytes.slice();
    const same = (await near.load()) === facts;
    await near.unload();
    const answered = await remotePage.readResponse(await near.fetch(remotePage.url, remotePage.post()));
    near.dispose();
    return { states, shares, facts, same, status: answered.status };
  });
  expect(seen.facts).toMatchObject({ model: 'glimpse', device: 'wasm', dtype: 'q4' });
  expect(seen.same).toBe(true);
  const [idle, ...rest] = seen.states;
  const load = rest.slice(0, rest.indexOf('ready') + 1);
  expect([idle, new Set(load)]).toEqual(['idle', new Set(['downloading', 'preparing', 'ready'])]);
  expect(rest[load.length]).toBe('idle');
  expect(rest.slice(-2)).toEqual(['ready', 'disposed']);
  expect(seen.shares).toEqual(seen.shares.toSorted((one, other) => one - other));
  expect(seen.shares.at(-1)).toBe(1);
  expect(seen.status).toBe(200);
});

test('unload() ends a pending answer with the code aborted', async () => {
  const text = await page.evaluate(async () => {
    const near = remotePage.make();
    const response = await near.fetch(remotePage.url, remotePage.post({ stream: true, ...remotePage.endless }));
    await near.unload();
    const { text } = await remotePage.readResponse(response);
    near.dispose();
    return text;
  });
  expect(text).toContain('"code":"aborted"');
  expect(text).not.toContain('[DONE]');
});

test('forget() does not change answers', async () => {
  const answers = await page.evaluate(async () => {
    const near = remotePage.make();
    const ask = async (): Promise<string> =>
      (await near.fetch(remotePage.url, remotePage.post())).json().then(JSON.stringify);
    const texts = [await ask(), await ask()];
    await near.forget();
    texts.push(await ask());
    near.dispose();
    return { right: remotePage.answer, said: texts.map((text) => JSON.parse(text).choices[0].message.content) };
  });
  expect(answers.said).toEqual([answers.right, answers.right, answers.right]);
});

test('ask() takes a Blob, bytes, a URL or several of them, and throws with a code', async () => {
  const answers = await page.evaluate(async () => {
    const near = remotePage.make();
    const { image, question, answer } = goldens.imageFirst;
    const ask = async (image: Blob | BufferSource | string): Promise<string> => {
      let said = '';
      for await (const text of near.ask(image, question, { maxTokens: 4 })) said += text;
      return said;
    };
    const bytes = Uint8Array.from(atob(image.slice(image.indexOf(',') + 1)), (it) => it.charCodeAt(0));
    const texts = [await ask(image), await ask(bytes), await ask(bytes.buffer), await ask(new Blob([bytes]))];
    const fault = await ask('/nowhere.png').catch((error: Error & { code: string }) => [error.name, error.code]);
    let several = '';
    for await (const text of near.ask([image, bytes], question, { maxTokens: 4 })) several += text;
    near.dispose();
    return { texts, fault, answer, several };
  });
  expect(answers.texts).toEqual([answers.answer, answers.answer, answers.answer, answers.answer]);
  expect(answers.fault).toEqual(['NearsightError', 'unreadable_image']);
  expect(answers.several).toMatch(/\S/);
});
