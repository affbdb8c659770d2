import { afterEach, expect, it, vi } from 'vitest';
import { decodeImage } from '../../../worker/vision/image-decoder.ts';
import { readHeader } from '../../../worker/vision/image-header.ts';
import { bytesOfImage } from './fixtures.ts';

afterEach(() => {
  vi.unstubAllGlobals();
});

/** What the browser is given of a file. */
async function givenOf(file: string): Promise<Buffer> {
  const decode = vi.fn((_blob: Blob) => Promise.reject(new Error('not here')));
  vi.stubGlobal('createImageBitmap', decode);
  const bytes = new Uint8Array(bytesOfImage(file));
  const decoded = decodeImage({ type: 'image', bytes, detail: 'auto', param: 'image' }, 1e6);
  await expect(decoded).rejects.toMatchObject({ code: 'unreadable_image' });
  return Buffer.from(await decode.mock.calls[0]![0].arrayBuffer());
}

it.each(['turned-6.webp', 'turned-alpha-3.webp'])(
  'of %s the browser gets all but the name of the EXIF',
  async (file) => {
    const bytes = bytesOfImage(file);
    const given = await givenOf(file);
    const at = given.indexOf('NONE');
    expect(at).toBe(Buffer.from(bytes).indexOf('EXIF'));
    expect(given.indexOf('EXIF')).toBe(-1);
    given.write('EXIF', at);
    expect(given.equals(bytes)).toBe(true);
    expect(readHeader(bytes).orientation).toBe(Number(/\d/.exec(file)?.[0]));
  },
);

it('of a PNG it gets all but the chunk', async () => {
  const bytes = Buffer.from(bytesOfImage('turned-6.png'));
  const given = await givenOf('turned-6.png');
  const name = bytes.indexOf('eXIf');
  const end = name + 8 + bytes.readUInt32BE(name - 4);
  expect(given.equals(Buffer.concat([bytes.subarray(0, name - 4), bytes.subarray(end)]))).toBe(true);
});

it('a file without EXIF is given as it is', async () => {
  for (const file of ['lossy.webp', 'alpha.webp', 'rgb.png', 'turned-6.jpg']) {
    expect((await givenOf(file)).equals(bytesOfImage(file))).toBe(true);
  }
});
