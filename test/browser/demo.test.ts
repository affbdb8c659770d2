// @module-tag nightly-in-firefox
import type { Plugin } from 'vite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DemoSite, lastText, openDemo as openDemoAt } from './demo-page.ts';
import { SUGGESTED } from './demo-suggested.ts';
import { browserName, type TestPage } from './harness/harness.ts';

// The built demo with the toy that comes with it. Each test is a new visitor.
let site: DemoSite;

/** The server sends no graphs while this is pending, so that the model does not load before a click. */
let held = Promise.resolve();

function holdModel(): () => void {
  let release = (): void => {};
  held = new Promise((resolve) => (release = resolve));
  return release;
}

const holdGraphs: Plugin = {
  name: 'hold-graphs',
  configurePreviewServer: ({ middlewares }) =>
    void middlewares.use(async (request, _response, next) => {
      if (request.url?.includes('.onnx')) await held;
      next();
    }),
};

beforeAll(async () => {
  site = await DemoSite.start('toy', [holdGraphs]);
});

afterAll(() => site.stop());

const openDemo = (): Promise<TestPage> => openDemoAt(site.origin);

test('answers questions about a sample image, turn by turn, under its own policy; a new image starts a new conversation', async () => {
  await using demo = await openDemo();
  await demo.page.click('#suggestions button');
  expect(await lastText(demo, '.note')).toMatch(
    /^glimpse, here on the CPU · first token after [\d.]+ m?s, loading included/,
  );
  expect(await lastText(demo, '.answer')).toMatch(/dog/i);
  // Firefox sometimes hangs when threads start, and then runs with one.
  const threads =
    browserName === 'chromium'
      ? /^glimpse: ready on the CPU · \d+ wasm threads/
      : /^glimpse: ready on the CPU · \d+ wasm threads?/;
  expect(await lastText(demo, '#status-text')).toMatch(threads);
  expect(await lastText(demo, '#announcer')).toMatch(/^Answer: .*dog/i);

  await demo.page.type('#question', 'What color is the background?');
  await demo.page.click('#ask');
  expect(await lastText(demo, '.turn:nth-child(2) .note')).toMatch(/^glimpse/);
  expect(await lastText(demo, '.turn:nth-child(2) .answer')).not.toBe('');

  await demo.page.click('.sample:nth-child(2)');
  await demo.page.waitForFunction(() => document.querySelectorAll('.turn').length === 0);
  expect(await demo.evaluate(() => document.querySelector('.sample[aria-pressed=true] img')?.getAttribute('alt'))).toBe(
    'Three red apples on white',
  );

  expect(demo.foreign).toEqual([]);
  expect(demo.log.filter((line) => /content.security.policy|refused|uncaught/i.test(line))).toEqual([]);
});

test('the status line shows: not loaded, loading with bytes and percent, opening, ready, answering', async () => {
  await using demo = await openDemo();
  await demo.evaluate(() => {
    const line = document.querySelector('#status-text')!;
    const lines = [line.textContent];
    new MutationObserver(() => lines.push(line.textContent)).observe(line, { childList: true });
    Object.assign(globalThis, { lines });
  });
  await demo.page.click('#load');
  await demo.page.waitForSelector('#status[data-state=ready]');
  await demo.page.click('#suggestions button');
  await lastText(demo, '.note');
  const lines = await demo.evaluate(() => (globalThis as unknown as { lines: string[] }).lines);
  for (const words of [
    /^glimpse, a toy of [\d.]+ MB, will run on the CPU\.$/,
    /^Loading glimpse: [\d.]+ MB of [\d.]+ MB, \d+\u00a0%$/,
    /^Opening the model: step \d of \d$/,
    /^glimpse: ready on the CPU · /,
    /^glimpse: answering on the CPU · /,
  ]) {
    expect(lines).toContainEqual(expect.stringMatching(words));
  }
});

test('the policy blocks other servers, for requests and for images', async () => {
  await using demo = await openDemo();
  const blocked = await demo.evaluate(() => {
    const violation = (directive: string): Promise<string> =>
      new Promise((resolve) => {
        document.addEventListener('securitypolicyviolation', ({ effectiveDirective }) => {
          if (effectiveDirective === directive) resolve(directive);
        });
      });
    const both = Promise.all([violation('connect-src'), violation('img-src')]);
    fetch('https://example.com/').catch(() => {});
    new Image().src = 'https://example.com/pixel.png';
    return both;
  });
  expect(blocked).toEqual(['connect-src', 'img-src']);
  const response = await fetch(`${site.origin}/`);
  const policy = response.headers.get('content-security-policy')?.split('; ');
  expect(policy).toContain("default-src 'none'");
  // The hub, and its servers for large files.
  expect(policy?.filter((rule) => rule.includes('http'))).toEqual([
    "connect-src 'self' blob: https://huggingface.co https://*.hf.co",
  ]);
  expect(await response.text()).toContain('http-equiv="Content-Security-Policy"');
});

test('a licence that restricts use is said before the download; the hub is not asked what nobody chose', async () => {
  await using demo = await openDemo();
  await demo.evaluate(() => Object.assign(document.querySelector('#picker')!, { open: true }));
  const part = (id: string, selector: string) =>
    demo.evaluate((query) => document.querySelector(query)?.textContent ?? '', `[data-model="${id}"] ${selector}`);
  await expect.poll(() => part('lfm2.5-vl-450m', '.facts')).not.toContain('checking');
  const [pinned, onHub, open] = ['lfm2.5-vl-450m', 'onnx-community/FastVLM-0.5B-ONNX', 'smolvlm-256m'] as const;
  expect(await part(pinned, '.terms')).toMatch(/^LFM Open License 1\.0 restricts .*revenue.* Read it\.$/);
  expect(await part(onHub, '.terms')).toMatch(/^Apple .* restricts .*research only/);
  expect(await part(onHub, '.facts')).toMatch(/^810 MB · Apple .* · from Hugging Face, not checked on this device$/);
  expect(await part(onHub, 'button')).toBe('Download (810 MB)');
  expect(await part(open, '.terms')).toBe('');
  expect(await part('HuggingFaceTB/SmolVLM-500M-Instruct', '.facts')).toMatch(/^358 to 391 MB · Apache-2\.0/);
  const links = await demo.evaluate(() =>
    Array.from(document.querySelectorAll<HTMLAnchorElement>('.terms a'), (a) => a.href),
  );
  expect(links.length).toBeGreaterThan(1);
  expect(links.every((href) => href.startsWith('https://'))).toBe(true);
  expect(demo.foreign).toEqual([]);
});

test('works by keyboard alone; Escape stops, and the next question is answered', async () => {
  await using demo = await openDemo();
  const { keyboard } = demo.page;
  const focused = (): Promise<string> =>
    demo.evaluate(() => document.activeElement?.id || document.activeElement?.className || '');
  const order: string[] = [];
  for (let stop = ''; stop !== 'question' && order.length < 30; order.push(stop)) {
    await keyboard.press('Tab');
    stop = await focused();
  }
  const places = ['sample', 'file', 'quiet', 'question'].map((place) => order.indexOf(place));
  expect(places).toEqual(places.toSorted((a, b) => a - b));
  expect(places).not.toContain(-1);

  const release = holdModel();
  await keyboard.type('What is this?');
  await keyboard.press('Enter');
  await keyboard.press('Escape'); // while the model loads
  expect(await lastText(demo, '.note')).toBe('Stopped');
  expect(await focused()).toBe('question');
  release();

  await keyboard.type('What is this?');
  await keyboard.press('Enter');
  expect(await lastText(demo, '.turn:nth-child(2) .note')).toMatch(/^glimpse/);
  expect(await focused()).toBe('question');
});

test('the stop button stops, and returns the focus to the question', async () => {
  await using demo = await openDemo();
  const release = holdModel();
  await demo.page.click('#suggestions button');
  await demo.page.waitForSelector('#stop:not([hidden])');
  expect(await demo.evaluate(() => document.activeElement?.id)).toBe('stop');
  await demo.page.click('#stop');
  expect(await lastText(demo, '.note')).toBe('Stopped');
  expect(await demo.evaluate(() => document.activeElement?.id)).toBe('question');
  await demo.page.waitForSelector('#ask:not([hidden])');
  release();
});

test('a question that is typed while another is answered stays, and is asked after it', async () => {
  await using demo = await openDemo();
  const release = holdModel();
  await demo.page.click('#suggestions button');
  await demo.page.waitForSelector('#stop:not([hidden])');
  await demo.page.type('#question', 'What color is it?\n');
  const question = () => demo.evaluate(() => document.querySelector<HTMLTextAreaElement>('#question')!.value);
  expect(await question()).toBe('What color is it?');
  release();
  await lastText(demo, '.note');
  await demo.page.click('#ask');
  expect(await question()).toBe('');
  expect(await lastText(demo, '.turn:nth-child(2) .question')).toBe('What color is it?');
});

test('every suggested question gets the right answer', { tags: ['long'] }, async () => {
  await using demo = await openDemo();
  const wrong: string[] = [];
  for (const [sample, expected] of SUGGESTED.entries()) {
    for (const [at, [question, right]] of Object.entries(expected).entries()) {
      const before = await demo.evaluate(() => document.querySelector('#image')?.getAttribute('src'));
      await demo.page.click(`.sample:nth-child(${sample + 1})`);
      // Each choice makes a new `blob:` URL and starts a new conversation.
      await demo.page.waitForFunction(
        (old) => document.querySelector('#image')?.getAttribute('src') !== old,
        {},
        before,
      );
      const button = `#suggestions button:nth-child(${at + 1})`;
      expect(await demo.evaluate((selector) => document.querySelector(selector)?.textContent, button)).toBe(question);
      await demo.page.click(button);
      await lastText(demo, '.note');
      const answer = await lastText(demo, '.answer');
      if (!right.test(answer)) wrong.push(`${sample}, ${question} ${answer}`);
    }
  }
  expect(wrong).toEqual([]);
  expect(await demo.evaluate(() => document.querySelectorAll('.sample').length)).toBe(SUGGESTED.length);
});

test('an answer as data: a word of a list is chosen, and a table shows it', async () => {
  await using demo = await openDemo();
  await demo.page.click('#as-data');
  const question = (): Promise<string | undefined> =>
    demo.evaluate(() => document.querySelector<HTMLTextAreaElement>('#question')?.value);
  expect(await question()).toBe('Is this an animal?');
  await demo.page.select('#ready', 'One of a list');
  expect(await question()).toBe('What is this?');
  await demo.page.click('#ask');
  expect(await lastText(demo, '.note:not(:empty)')).toMatch(/^glimpse, here on the CPU/);
  expect(await lastText(demo, '.fields td')).toBe('dog');
  expect(await lastText(demo, '#announcer')).toBe('Answer: dog');
  // The same question about another image takes one click.
  expect(await question()).toBe('What is this?');
});

test('every control has a name, and the page fits a phone', async () => {
  await using demo = await openDemo();
  const unnamed = await demo.evaluate(() =>
    Array.from(document.querySelectorAll('button:not([hidden]), input, textarea, progress'))
      .filter((control) => {
        const image = control.querySelector('img')?.alt ?? '';
        const labels = control instanceof HTMLButtonElement || !('labels' in control) ? [] : control.labels;
        const label = labels instanceof NodeList ? (labels[0]?.textContent ?? '') : '';
        return `${image}${label}${control.textContent}${control.ariaLabel ?? ''}`.trim() === '';
      })
      .map((control) => control.outerHTML),
  );
  expect(unnamed).toEqual([]);
  await demo.page.setViewport({ width: 390, height: 844 });
  expect(await demo.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390);
});
