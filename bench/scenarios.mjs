/**
 * The measures. Sides take turns within a round, and a result is the median over the rounds. Everything runs once before
 * the first round, so that shaders are compiled.
 *
 * - **decode**: milliseconds a token. Our text reaches the page several tokens at a time, so this is the difference in time
 *   between a long and a short answer to one prompt, over the difference in tokens. transformers.js reports each token:
 *   from its first to its last, over their number less one. The side `uncaptured` is ours as well, without captured steps.
 * - **five**: from the request to the end of an answer of five tokens, to a new text.
 * - **image**: to the first token about a new 640x480 image, one crop (`detail: 'low'`, `do_image_splitting: false`),
 *   starting from the file's bytes: all sides include decoding and resizing.
 * - **image, own**: the part of that outside `session.run` and outside waits for the GPU. Only ours: the other sides' runs
 *   are not recorded.
 * - **followup**: to the first token of a second question about that image, with the first answer in the chat.
 * - **text**: to the first token of that second question without image and chat, as a new text. The same words in fewer
 *   tokens: 17 to 20, where the chat has 47 to 103. A question as long as the chat would be a lower bar.
 * - **again**: the same image in a new chat: to the first token, and how often the vision encoder ran.
 * - **sampled**: decode with temperature, top-p and a penalty (`sampling.mjs`).
 * - **counts**: calls to WebGPU a token (`tools/counters/patch.mjs` defines waits), as the difference between a long and a
 *   short answer, over the difference in tokens. Only `mapAsync` is the total of an answer over its tokens, because the
 *   number of tokens in a readback varies.
 * - **growth**: how far the peak of GPU memory rose after the first 40 of 540 tokens of one answer; for the other sides, of
 *   140, to save time.
 * - **host**: milliseconds a token without the GPU: JavaScript and wasm alone.
 * - **heap**: bytes allocated on V8's heap a token, without the GPU as well, on both ends of the worker's channel. On Dawn only
 *   (`dawn/allocated.mjs`).
 * - **ort**: ours only: milliseconds of `session.run` a token. On wasm, decode is compared with it, as bare ONNX Runtime
 *   with the same graph, files and threads, in the same run.
 *
 * The end token is ruled out, so that answers have the requested length. In transformers.js that would cost time, so it
 * continues after the end token instead: its text then differs, its work does not.
 */

/** @typedef {import('./page/side.ts').Question} Question */
/** @typedef {import('./page/page.ts').Measured} Measured */
/** @typedef {import('../tools/counters.mjs').Counts} Counts */

/**
 * @typedef {object} Bench access to the sides
 * @property {(side: string, question: Question) => Promise<Measured>} ask
 * @property {(side: string, ms: number) => Promise<void>} hold
 * @property {(side: string, on: boolean) => Promise<void>} idle
 * @property {(side: string, question: Question) => Promise<{ growth: number, peak: number }>} growth
 * @property {(side: string, work: () => Promise<unknown>) => Promise<number>} [allocated] bytes on V8's heap
 * @property {(words: string) => void} say
 *
 * @typedef {object} Plan
 * @property {readonly string[]} sides `ours` first
 * @property {readonly string[]} [imageSides] the sides that support images; default: all
 * @property {'low' | 'high'} [detail] of images on our side. Default: `low`, one crop
 * @property {boolean} [sampled] whether decode is measured with sampling too. Default true
 * @property {boolean} gpu
 * @property {number} rounds 0: counts only
 * @property {readonly number[]} contexts prompt lengths, in tokens
 * @property {number} short
 * @property {number} long
 * @property {number} hold how many milliseconds promises are held while counting: longer than the host work of a step
 * @property {boolean} exact whether to measure counts as well
 * @property {boolean} growth whether to measure growth, which takes 540 tokens
 * @property {'decode' | 'own' | undefined} [only] greedy decoding, or what needs no GPU; default: all measures
 *
 * @typedef {Record<string, Record<string, number[]>>} Samples by side, by measure
 */

/** Sides that answer in batches of tokens, and find prompts in their cache. */
const BATCHED = ['ours', 'uncaptured'];

const FILLER = ' and then a dog';
const SECOND = 'And what is next to it?';

/** @param {number} n */
const text = (n, words = '') => `${n}: what is this?${words}`;

/**
 * @param {string} words
 * @param {number} tokens
 * @returns {Question}
 */
const plain = (words, tokens) => ({ turns: [{ role: 'user', text: words }], tokens });

export class Scenarios {
  /** @type {Samples} */
  samples = {};
  /** The actual prompt lengths, by measure. @type {Record<string, number>} */
  lengths = {};
  #bench;
  #plan;
  /** The last number used for a new image or text. */
  #lastNumber = 0;
  /** How many repetitions of the filler give a prompt of about that many tokens. @type {Map<number, number>} */
  #fillers = new Map();

  /**
   * @param {Bench} bench
   * @param {Plan} plan
   */
  constructor(bench, plan) {
    this.#bench = bench;
    this.#plan = plan;
  }

  async run() {
    const { rounds, gpu, exact, only, sides } = this.#plan;
    await this.#calibrate();
    if (only !== 'own') await this.#rounds();
    if (!gpu || only === 'decode') return;
    if (exact && only !== 'own') await this.#exact();
    if (rounds > 0) for (const side of sides) await this.#host(side);
  }

  async #rounds() {
    const { rounds } = this.#plan;
    this.#bench.say('warming up');
    if (rounds > 0) await this.#round();
    this.samples = {};
    for (let round = 1; round <= rounds; round++) {
      this.#bench.say(`round ${round} of ${rounds}`);
      await this.#round();
    }
  }

  async #calibrate() {
    const { ask } = this.#bench;
    const ten = await ask('ours', plain(text(0, FILLER.repeat(10)), 1));
    const thirty = await ask('ours', plain(text(0, FILLER.repeat(30)), 1));
    const tokensPerFiller = (thirty.promptTokens - ten.promptTokens) / 20;
    for (const context of this.#plan.contexts) {
      this.#fillers.set(context, Math.max(0, Math.round((context - ten.promptTokens) / tokensPerFiller) + 10));
    }
  }

  async #round() {
    for (const context of this.#plan.contexts) await this.#decode(context, false);
    if (this.#plan.only === 'decode') return;
    const [context] = this.#plan.contexts;
    if (context !== undefined && this.#plan.sampled !== false) await this.#decode(context, true);
    await this.#five();
    await this.#images();
  }

  /**
   * @param {number} context
   * @param {boolean} sampled
   */
  async #decode(context, sampled) {
    const { sides, short, long } = this.#plan;
    const words = text(context, FILLER.repeat(this.#fillers.get(context) ?? 0));
    const name = sampled ? 'sampled' : `decode ${context}`;
    for (const side of sides) {
      if (sampled && (side === 'classic' || side === 'uncaptured')) continue;
      const answer = await this.#bench.ask(side, { ...plain(words, long), sampled });
      this.lengths[name] = answer.promptTokens;
      if (!BATCHED.includes(side)) {
        this.#note(side, name, (answer.totalMs - answer.firstMs) / (long - 1));
        continue;
      }
      // The long answer is repeated, because only now do both find the prompt in the prefix cache.
      const full = await this.#bench.ask(side, { ...plain(words, long), sampled });
      const brief = await this.#bench.ask(side, { ...plain(words, short), sampled });
      this.#note(side, name, (full.totalMs - brief.totalMs) / (long - short));
      if (!sampled) this.#note(side, `ort ${context}`, (runTime(full) - runTime(brief)) / (long - short));
    }
  }

  async #five() {
    const words = text(++this.#lastNumber, FILLER.repeat(4));
    for (const side of this.#plan.sides) {
      const answer = await this.#bench.ask(side, plain(words, 5));
      this.#note(side, 'five', answer.totalMs);
      this.lengths['five'] = answer.promptTokens;
    }
  }

  async #images() {
    const { ask } = this.#bench;
    const image = ++this.#lastNumber;
    const { detail = 'low' } = this.#plan;
    /** @type {Question['turns'][number]} */
    const first = { role: 'user', text: text(image), image, detail };
    for (const side of this.#plan.imageSides ?? this.#plan.sides) {
      const answer = await ask(side, { turns: [first], tokens: 5 });
      this.#note(side, 'image', answer.firstMs);
      if (side === 'ours') this.#note(side, 'image, own', answer.firstMs - busy(answer, answer.firstMs));
      this.lengths['image'] = answer.promptTokens;
      const chat = [first, /** @type {const} */ ({ role: 'assistant', text: answer.text })];
      const next = await ask(side, { turns: [...chat, { role: 'user', text: SECOND }], tokens: 1 });
      this.#note(side, 'followup', next.firstMs);
      this.lengths['followup'] = next.promptTokens;
      const alone = await ask(side, plain(`${image} ${SECOND}`, 1));
      this.#note(side, 'text', alone.firstMs);
      this.lengths['text'] = alone.promptTokens;
      if (side !== 'ours') continue;
      const again = await ask(side, { turns: [{ ...first, text: `${image} times: which colour?` }], tokens: 1 });
      this.#note(side, 'again', again.firstMs);
      this.#note(side, 'again, vision runs', (again.after.runs['vision'] ?? 0) - (again.before.runs['vision'] ?? 0));
    }
  }

  /** Measures that are the same in every run, taken while promises are held. */
  async #exact() {
    const { sides, short, hold, growth } = this.#plan;
    const long = short + 16;
    const { ask } = this.#bench;
    const words = text(0, FILLER.repeat(this.#fillers.get(100) ?? 0));
    for (const side of sides) {
      this.#bench.say(`counting ${side}`);
      await ask(side, plain(words, long));
      await this.#bench.hold(side, hold);
      const full = await ask(side, plain(words, long));
      const brief = await ask(side, plain(words, short));
      await this.#bench.hold(side, 0);
      for (const name of /** @type {const} */ (['waits', 'readBytes', 'dispatches', 'submits', 'writes'])) {
        const more = full.after[name] - full.before[name] - (brief.after[name] - brief.before[name]);
        this.#note(side, name, more / (long - short));
      }
      this.#note(side, 'maps', (full.after.maps - full.before.maps) / long);
      // Every decode loop reads and computes, so zero means that the counter is broken.
      const { maps, dispatches } = full.after;
      if (maps === 0 || dispatches === 0) throw new Error(`no calls of ${side} were counted`);
      if (!growth) continue;
      const grown = await this.#bench.growth(side, plain(text(1), BATCHED.includes(side) ? 540 : 140));
      this.#note(side, 'growth', grown.growth);
      this.#note(side, 'peak bytes', grown.peak);
    }
  }

  /**
   * Runs last, because the answers are wrong from here on.
   *
   * @param {string} side
   */
  async #host(side) {
    const { short, long, rounds } = this.#plan;
    const words = text(0, FILLER.repeat(this.#fillers.get(100) ?? 0));
    this.#bench.say(`${side} without a GPU`);
    // Records a readback, which is repeated while the GPU is off.
    await this.#bench.hold(side, 1);
    await this.#bench.ask(side, plain(words, short));
    await this.#bench.hold(side, 0);
    await this.#bench.idle(side, true);
    for (let round = 0; round < rounds; round++) {
      const full = await this.#bench.ask(side, plain(words, long * 5));
      const brief = await this.#bench.ask(side, plain(words, short));
      this.#note(side, 'host', (full.totalMs - brief.totalMs) / (long * 5 - short));
    }
    const { allocated } = this.#bench;
    if (allocated) {
      const brief = await allocated(side, () => this.#bench.ask(side, plain(words, short)));
      const full = await allocated(side, () => this.#bench.ask(side, plain(words, long * 5)));
      this.#note(side, 'heap', (full - brief) / (long * 5 - short));
    }
    // On Dawn, the next side uses the same GPU calls.
    await this.#bench.idle(side, false);
  }

  /**
   * @param {string} side
   * @param {string} measure
   * @param {number} value
   */
  #note(side, measure, value) {
    const measures = (this.samples[side] ??= {});
    (measures[measure] ??= []).push(value);
  }
}

/**
 * For how many milliseconds ONNX Runtime ran or the GPU was awaited, within the first `within` ms after the request.
 *
 * @param {Measured} measured
 * @param {number} within
 */
function busy({ after: { spans }, askedAt }, within) {
  let sum = 0;
  let end = askedAt;
  for (const [from, to] of spans.toSorted(([one], [other]) => one - other)) {
    const start = Math.max(from, end);
    const stop = Math.min(to, askedAt + within);
    if (stop > start) sum += stop - start;
    end = Math.max(end, stop);
  }
  return sum;
}

/** @param {Measured} measured */
const runTime = (measured) => busy(measured, measured.totalMs);
