// The global `bench` for `page.evaluate`: opens the sides, and asks them. Nothing here takes measurable time.
import type { Counters, CounterReport } from '../../tools/counters.mjs';
import { openOurs } from '../ours.mjs';
import { image } from './images.ts';
import type { OrtFiles } from './ort-worker.ts';
import type { Answer, Facts, GgufFiles, Opening, Question, Side } from './side.ts';
import { openTheirs } from './theirs.ts';
import { openWllama } from './wllama.ts';

declare global {
  // oxlint-disable-next-line no-var -- only `var` declares a global
  var counters: Counters;
  // oxlint-disable-next-line no-var -- only `var` declares a global
  var bench: typeof page;
}

/** An answer, with the counts before and after it. */
export interface Measured extends Answer {
  before: CounterReport;
  after: CounterReport;
}

/** Times of an opening, in milliseconds since 1970. */
export interface Start {
  from: number;
  to: number;
  steps: number[];
  waits: [number, number][];
}

const sides = new Map<string, Side>();

function side(name: string): Side {
  const found = sides.get(name);
  if (!found) throw new Error(`no side ${name} is open`);
  return found;
}

const page = {
  async open(name: string, kind: 'ours' | 'theirs', opening: Opening): Promise<Facts> {
    const opened = await (kind === 'ours'
      ? openOurs(opening, image, counters.newest, opening.ort)
      : openTheirs(opening));
    sides.set(name, opened);
    return opened.facts;
  },
  /** Opens llama.cpp as the side `wllama`, and gives how long that took in milliseconds. */
  async openWllama(files: GgufFiles, threads: number): Promise<number> {
    const from = performance.now();
    sides.set('wllama', await openWllama(files, threads));
    return performance.now() - from;
  },
  /** Ends a side; ours only. */
  async unload(name: string): Promise<void> {
    await side(name).unload?.();
    sides.delete(name);
  },
  /** As {@link ask}, without counts. */
  time(name: string, question: Question): Promise<Answer> {
    return side(name).ask(question);
  },
  /** Loads onnxruntime alone in a worker, which stays. */
  async loadOrt(files: OrtFiles, device: 'webgpu' | 'wasm'): Promise<void> {
    const worker = new Worker(new URL('./ort-worker.ts', import.meta.url), { type: 'module' });
    const failure = await new Promise<string>((resolve) => {
      worker.onmessage = ({ data }: MessageEvent<string>) => resolve(data);
      worker.onerror = ({ message }) => resolve(message);
      worker.postMessage({ files, device });
    });
    if (failure !== '') throw new Error(failure);
  },
  async ask(name: string, question: Question): Promise<Measured> {
    const { worker, ask } = side(name);
    const before = await worker.take();
    const answer = await ask(question);
    return { ...answer, before, after: await worker.take() };
  },
  /** Opens a side: when that began and ended, when each of our steps was done, and when the GPU was awaited. */
  async start(kind: 'ours' | 'theirs', opening: Opening): Promise<Start> {
    const now = (): number => performance.timeOrigin + performance.now();
    const from = now();
    const { steps = [] } = await page.open(kind, kind, opening);
    const to = now();
    return { from, to, steps, waits: (await side(kind).worker.take()).spans };
  },
  /** Samples GPU memory during an answer. `growth`: by how much its peak rose after the first 40 tokens. */
  async growth(name: string, question: Question): Promise<{ growth: number; peak: number }> {
    const { worker, ask } = side(name);
    const samples = [await worker.take()];
    const sample = async (): Promise<void> => void samples.push(await worker.take());
    const timer = setInterval(() => void sample(), 100);
    await ask(question);
    clearInterval(timer);
    await sample();
    // Every token has the same number of submissions, so they show the progress of the answer.
    const [from, to] = [samples[0]?.submits ?? 0, samples.at(-1)?.submits ?? 0];
    const settled = from + ((to - from) * 40) / question.tokens;
    const peakOf = (reports: CounterReport[]): number => Math.max(0, ...reports.map(({ peakBytes }) => peakBytes));
    const early = peakOf(samples.filter(({ submits }) => submits <= settled));
    return { growth: Math.max(0, peakOf(samples) - early), peak: peakOf(samples) };
  },
  async hold(name: string, ms: number): Promise<void> {
    await side(name).worker.hold(ms);
  },
  async idle(name: string, on: boolean): Promise<void> {
    await side(name).worker.idle(on);
  },
};

Object.assign(globalThis, { bench: page });
