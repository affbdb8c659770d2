// @module-tag long
// Generated image files of every kind are decoded as by the reference, and damaged ones are refused where that can be told.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runSeed, xorshift } from '../../../random.ts';
import { browserName, type TestPage } from '../../harness/harness.ts';
import { openWorkerPage, order } from '../../harness/worker-page.ts';
import { type Damage, damaged } from './damage.ts';
import type { Outcome } from './decode-files-worker.ts';
import { CONTAINERS, imageCase, type ImageCase } from './image-cases.ts';

/** Files of one message to the page. */
const BATCH = 100;

let page: TestPage;

beforeAll(async () => {
  page = await openWorkerPage(new URL('decode-files-worker.ts', import.meta.url));
});

afterAll(() => page[Symbol.asyncDispose]());

function decodeAll(files: readonly Buffer[]): Promise<Outcome[]> {
  return order(page, { files: files.map((file) => file.toString('base64')) });
}

function makeCases(seed: number, from: number, count: number): Promise<ImageCase[]> {
  return Promise.all(Array.from({ length: count }, (_, i) => imageCase(seed, from + i)));
}

/** What is wrong with an outcome; undefined if it is as the reference, within the tolerance. */
function faultOf({ width, height, rgb, tolerance }: ImageCase, outcome: Outcome): string | undefined {
  if ('refused' in outcome) return outcome.refused;
  if (outcome.width !== width || outcome.height !== height) return `it is ${outcome.width} x ${outcome.height}`;
  const actual = Buffer.from(outcome.rgb, 'base64');
  if (actual.length !== rgb.length) return `it has ${actual.length} levels`;
  let [max, sum] = [0, 0];
  for (const [at, level] of rgb.entries()) {
    const difference = Math.abs(level - actual[at]!);
    max = Math.max(max, difference);
    sum += difference;
  }
  const mean = sum / rgb.length;
  return max > tolerance.max || mean > tolerance.mean ? `max ${max}, mean ${mean.toFixed(2)}` : undefined;
}

async function wrongCases(seed: number, count: number): Promise<string[]> {
  const wrong: string[] = [];
  for (let from = 0; from < count; from += BATCH) {
    const cases = await makeCases(seed, from, Math.min(BATCH, count - from));
    const outcomes = await decodeAll(cases.map(({ bytes }) => bytes));
    for (const [i, one] of cases.entries()) {
      const fault = faultOf(one, outcomes[i]!);
      if (fault) wrong.push(`${one.name}: ${fault}`);
    }
  }
  return wrong;
}

describe('images of any container, orientation, transparency and bit depth are as in the reference', () => {
  it('200 files', async () => {
    expect(await wrongCases(20261129, 200)).toEqual([]);
  });

  it('2,000 further files', { tags: ['nightly'], timeout: 600_000 }, async () => {
    expect(await wrongCases(runSeed(), 2000)).toEqual([]);
  });
});

describe('damaged images', () => {
  interface Count {
    refused: number;
    /** As the reference's of the undamaged file. */
    right: number;
    /** Other pixels without an error. */
    wrong: string[];
  }

  async function count(seed: number, files: number, damage: Damage): Promise<Record<string, Count>> {
    const random = xorshift(seed);
    const counts = Object.fromEntries(CONTAINERS.map((name): [string, Count] => [name, emptyCount()]));
    for (let from = 0; from < files; from += BATCH) {
      const made = (await makeCases(seed, from, Math.min(BATCH, files - from))).flatMap((one) => {
        const bytes = damaged(random, one, damage);
        return bytes ? [{ ...one, bytes }] : [];
      });
      const outcomes = await decodeAll(made.map(({ bytes }) => bytes));
      for (const [i, one] of made.entries()) {
        const outcome = outcomes[i]!;
        const counted = counts[one.container]!;
        const fault = faultOf(one, outcome);
        if ('refused' in outcome) counted.refused++;
        else if (fault) counted.wrong.push(`${one.name}: ${fault}`);
        else counted.right++;
      }
    }
    return counts;
  }

  const emptyCount = (): Count => ({ refused: 0, right: 0, wrong: [] });

  it.for([
    // Without checksums, a decoder cannot tell another byte from the right one. docs/browsers.md has the counts.
    ['a changed byte', ['png']],
    ['a missing end', CONTAINERS],
    ['an end of zeros', ['png', 'jpeg', 'gif']],
  ] as const)('with %s are never other images: %s', async ([damage, detected], { annotate }) => {
    const counts = await count(20261129, 500, damage);
    const lines = Object.entries(counts).map(
      ([name, { refused, right, wrong }]) => `${name}: ${refused} refused, ${right} right, ${wrong.length} wrong`,
    );
    await annotate(`${browserName}, ${damage}: ${lines.join('; ')}`);
    expect(detected.flatMap((name) => counts[name]!.wrong)).toEqual([]);
    expect(detected.every((name) => counts[name]!.refused > 0)).toBe(true);
  });
});
