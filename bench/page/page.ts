// What the bench reaches from `page.evaluate`: the two sides by their names, and nothing that takes time by itself.
import type { Counters, Told } from '../../tools/counters.mjs';
import { openOurs } from '../ours.mjs';
import { image } from './images.ts';
import type { Answer, Facts, Opening, Question, Side } from './side.ts';
import { openTheirs } from './theirs.ts';

declare global {
  // oxlint-disable-next-line no-var -- only `var` declares a global
  var counters: Counters;
  // oxlint-disable-next-line no-var -- only `var` declares a global
  var bench: typeof page;
}

/** An answer, with what was counted from the question to its end. */
export interface Measured extends Answer {
  before: Told;
  after: Told;
}

const sides = new Map<string, Side>();

function side(name: string): Side {
  const found = sides.get(name);
  if (!found) throw new Error(`no side ${name} is open`);
  return found;
}

const page = {
  async open(name: string, kind: 'ours' | 'theirs', opening: Opening): Promise<Facts> {
    const opened = await (kind === 'ours' ? openOurs(opening, image, counters.newest) : openTheirs(opening));
    sides.set(name, opened);
    return opened.facts;
  },
  async ask(name: string, question: Question): Promise<Measured> {
    const { worker, ask } = side(name);
    const before = await worker.take();
    const answer = await ask(question);
    return { ...answer, before, after: await worker.take() };
  },
  /** Looks at the bytes in GPU buffers all the while: by how much the most of them rose after the first 40 tokens. */
  async growth(name: string, question: Question): Promise<{ growth: number; peak: number }> {
    const { worker, ask } = side(name);
    const looks = [await worker.take()];
    const look = async (): Promise<void> => void looks.push(await worker.take());
    const timer = setInterval(() => void look(), 100);
    await ask(question);
    clearInterval(timer);
    await look();
    // Every token submits as often as the next, so submissions tell how far it had come.
    const [from, to] = [looks[0]?.submits ?? 0, looks.at(-1)?.submits ?? 0];
    const settled = from + ((to - from) * 40) / question.tokens;
    const most = (some: Told[]): number => Math.max(0, ...some.map(({ peakBytes }) => peakBytes));
    const early = most(looks.filter(({ submits }) => submits <= settled));
    return { growth: Math.max(0, most(looks) - early), peak: most(looks) };
  },
  async hold(name: string, ms: number): Promise<void> {
    await side(name).worker.hold(ms);
  },
  async idle(name: string, on: boolean): Promise<void> {
    await side(name).worker.idle(on);
  },
};

Object.assign(globalThis, { bench: page });
