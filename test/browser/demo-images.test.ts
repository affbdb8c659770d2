// @module-tag nightly-in-firefox
import { truncate, writeFile } from 'node:fs/promises';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { choose, DemoSite, lastText, openDemo as openDemoAt } from './demo-page.ts';
import { browserName, type TestPage } from './harness/harness.ts';

// How images come into the built demo, and which it refuses. Each test is a new visitor.
let site: DemoSite;

beforeAll(async () => {
  site = await DemoSite.start('images');
});

afterAll(() => site.stop());

const openDemo = (): Promise<TestPage> => openDemoAt(site.origin);

/** The image that the page shows. */
const shown = (demo: TestPage): Promise<string | null | undefined> =>
  demo.evaluate(() => document.querySelector('#image')?.getAttribute('src'));

test('a file that cannot be read gives a notice, and the current image stays; one that the library cannot, an error', async () => {
  await using demo = await openDemo();
  const before = await shown(demo);
  await choose(demo, 'LICENSE');
  expect(await lastText(demo, '#notice:not([hidden])')).toMatch(/^LICENSE is not an image/);
  expect(await shown(demo)).toBe(before);

  // Browsers show SVG, but the library does not read it.
  await choose(demo, 'demo/icon.svg');
  await demo.page.waitForSelector('#image[alt="icon.svg"]');
  await demo.page.click('#suggestions button');
  expect(await lastText(demo, '.answer.failed')).toMatch(/^This image could not be read/);
  expect(await lastText(demo, '.note')).not.toBe('');

  // One white pixel as a BMP with run lengths: browsers show it as well. The error names no place in the request.
  const file = `.cache/demo/compressed-${browserName}.bmp`;
  const header =
    '424d42000000000000003e00000028000000010000000100000001000800010000000400000000000000000000000200000000000000';
  const [palette, pixels] = ['00000000ffffff00', '01010001'];
  await writeFile(file, Buffer.from(`${header}${palette}${pixels}`, 'hex'));
  await choose(demo, file);
  await demo.page.waitForSelector('#image[alt$=".bmp"]');
  await demo.page.waitForFunction(() => document.querySelectorAll('.turn').length === 0);
  await demo.page.click('#suggestions button');
  expect(await lastText(demo, '.answer.failed')).toMatch(/^This image could not be read/);
  expect(await lastText(demo, '.note')).toMatch(/^The image cannot be read: it is a compressed BMP/);
});

test('an image can come from the camera, a drop or a paste', async () => {
  await using demo = await openDemo();
  const camera = await demo.page.$('input#camera');
  await camera?.uploadFile('demo/samples/star.png');
  await demo.page.waitForSelector('#image[alt="star.png"]');
  for (const kind of ['drop', 'paste'] as const) {
    await demo.evaluate(async (kind) => {
      const blob = await (await fetch(document.querySelector('img')!.src)).blob();
      const data = new DataTransfer();
      data.items.add(new File([blob], `${kind}.png`, { type: 'image/png' }));
      const event = new Event(kind);
      // In Firefox, scripts cannot put files into a clipboard.
      Object.defineProperty(event, kind === 'drop' ? 'dataTransfer' : 'clipboardData', { value: data });
      document.dispatchEvent(event);
    }, kind);
    await demo.page.waitForSelector(`#image[alt="${kind}.png"]`);
  }
});

test('text that is pasted or dropped into the question stays text, also with an image of it', async () => {
  await using demo = await openDemo();
  const before = await shown(demo);
  // What is left to the browser is not prevented.
  const given = (kind: 'drop' | 'paste', text: string | undefined, file: boolean) =>
    demo.evaluate(
      async (kind, text, file) => {
        const data = new DataTransfer();
        if (text !== undefined) data.setData('text/plain', text);
        const blob = await (await fetch(document.querySelector('img')!.src)).blob();
        if (file) data.items.add(new File([blob], 'cells.png', { type: 'image/png' }));
        const event = new Event(kind, { bubbles: true, cancelable: true });
        Object.defineProperty(event, kind === 'drop' ? 'dataTransfer' : 'clipboardData', { value: data });
        document.querySelector('#question')!.dispatchEvent(event);
        return event.defaultPrevented;
      },
      kind,
      text,
      file,
    );
  expect(await given('paste', 'cells', true)).toBe(false);
  expect(await given('drop', 'cells', false)).toBe(false);
  expect(await shown(demo)).toBe(before);
  // A file is the image wherever it is dropped, and so is a screenshot that is pasted.
  expect(await given('drop', 'file:///cells.png', true)).toBe(true);
  await demo.page.waitForSelector('#image[alt="cells.png"]');
  await demo.page.click('.sample');
  await demo.page.waitForSelector('#image[alt^="A dog"]');
  expect(await given('paste', undefined, true)).toBe(true);
  await demo.page.waitForSelector('#image[alt="cells.png"]');
});

/** A white image, in the format that its name says. */
async function white(name: string, width: number, height: number): Promise<string> {
  const file = `.cache/demo/${browserName}-${name}`;
  await sharp({ create: { width, height, channels: 3, background: 'white' }, limitInputPixels: false }).toFile(file);
  return file;
}

test('an image that is too large is refused before it is asked about', async () => {
  await using demo = await openDemo();
  const before = await shown(demo);
  const refused = async (file: string, words: RegExp): Promise<void> => {
    await choose(demo, file);
    await expect.poll(() => demo.evaluate(() => document.querySelector('#notice')?.textContent)).toMatch(words);
    expect(await shown(demo)).toBe(before);
  };
  await refused(await white('wide.jpg', 12_000, 9_500), /wide\.jpg has 114 megapixels, .* at most 110 megapixels\./);
  // A PNG may end before its file does.
  const long = await white('long.png', 100, 100);
  await truncate(long, 100_000_001);
  await refused(long, /long\.png has 101 MB, .* at most 100 MB\./);
});

test('one above the limits that the library has by itself is answered', { tags: ['long'] }, async () => {
  await using demo = await openDemo();
  const large = await white('large.png', 8_000, 6_300);
  await truncate(large, 30_000_000);
  await choose(demo, large);
  await demo.page.waitForSelector('#image[alt$="large.png"]');
  await demo.page.click('#suggestions button');
  expect(await lastText(demo, '.note')).toMatch(/^glimpse, here on the CPU/);
});
