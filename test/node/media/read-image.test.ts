import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { readImage, type ImageRules } from '../../../src/media/load-images.ts';

const BYTES = new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0xff, 0xfb, 0xf0]);
const BASE64 = 'iVBORw0KGgr/+/A=';
const RULES: ImageRules = { imageBytes: 1000, images: 3 };

const refuses = (cause: RegExp): object => ({
  code: 'unreadable_image',
  status: 400,
  param: 'image',
  message: expect.stringMatching(cause),
});

describe('an image passed by the page', () => {
  it.each([
    ['a Blob', new Blob([BYTES])],
    ['bytes', BYTES],
    ['a view', new DataView(new Uint8Array([0, ...BYTES]).buffer, 1)],
    ['a buffer', BYTES.slice().buffer],
    ['a data: URL', `data:image/png;base64,${BASE64}`],
    ['a URL', new URL(`data:image/png;base64,${BASE64}`)],
  ])('may be %s', async (_kind, image) => {
    expect(await readImage(image, RULES)).toEqual(BYTES);
  });

  it('is copied, so that the page may reuse its buffer', async () => {
    const own = BYTES.slice();
    expect((await readImage(own, RULES)).buffer).not.toBe(own.buffer);
  });

  it('may be of another window, in shared memory, or a view of either', async () => {
    const shared = new Uint8Array(new SharedArrayBuffer(BYTES.length + 4), 2, BYTES.length);
    shared.set(BYTES);
    const other: { view: Uint8Array; url: URL } = runInNewContext(
      '({ view: Uint8Array.from(bytes), url: Object.assign(Object.create(null), { toString: () => url }) })',
      { bytes: [...BYTES], url: `data:image/png;base64,${BASE64}` },
    );
    for (const image of [shared, other.view, other.view.buffer, other.url]) {
      const bytes = await readImage(image as Parameters<typeof readImage>[0], RULES);
      expect([bytes, bytes.buffer.constructor]).toEqual([BYTES, ArrayBuffer]);
    }
  });

  it('that changed since it was chosen is refused with that cause', async () => {
    const file = new File([BYTES], 'cat.png');
    file.arrayBuffer = () => Promise.reject(new DOMException('could not be read', 'NotReadableError'));
    await expect(readImage(file, RULES)).rejects.toMatchObject(refuses(/changed, moved or deleted/));
  });

  it('whose bytes were transferred is refused with that cause', async () => {
    const own = BYTES.slice();
    structuredClone(own, { transfer: [own.buffer] });
    await expect(readImage(own, RULES)).rejects.toMatchObject(refuses(/transferred/));
  });

  it('has the same limits', async () => {
    await expect(readImage(new Blob([new Uint8Array(1001)]), RULES)).rejects.toMatchObject(
      refuses(/more than 1000 bytes/),
    );
    await expect(readImage('cat.png', RULES)).rejects.toMatchObject(refuses(/not an absolute URL/));
  });
});
