/**
 * What is measured, and how. Sides take turns within a round; a figure is the median over the rounds; everything runs
 * once beforehand, so that shaders are compiled.
 *
 * - **decode**: milliseconds a token. Ours is sent to the page several tokens at a time, so it is the difference between
 *   a long and a short answer to one prompt, over the difference in tokens. transformers.js tells of each token: from its
 *   first to its last, over one less than there are.
 * - **five**: from the request to the end of five tokens, about text that was not sent before.
 * - **image**: to the first token about a new 640x480 image, one view (`detail: 'low'`, `do_image_splitting: false`),
 *   from the file's bytes on: decoding and scaling are in it, on both sides.
 * - **image, own**: of that, what lies outside `session.run` and waits for the GPU. Ours alone: the other sides' runs
 *   are not noted.
 * - **followup**: to the first token of a second question about that image, the first answer being in the chat.
 * - **text**: to the first token of that second question alone, without image or chat, not sent before. Same words,
 *   fewer tokens: 17 to 20, where the chat has 47 to 103. A question as long as the chat would be a lower bar.
 * - **again**: that image in a new chat: how often the vision encoder ran.
 * - **sampled**: decode with temperature, top-p and a penalty (`sampling.mjs`).
 * - **counts**: what a token takes of WebGPU (`tools/counters/patch.mjs` says how waits are counted), as the difference
 *   between a long and a short answer, over the difference in tokens. `mapAsync` alone is all that an answer took, over
 *   its tokens: how many are read at once is no constant.
 * - **growth**: how far the most bytes in GPU buffers rose after the first 40 of 540 tokens of one answer; for the other
 *   sides, to save time, of 140.
 * - **host**: milliseconds a token when the GPU is left out: JavaScript and wasm alone.
 * - **ort**: of ours, milliseconds of `session.run` a token, by which decoding on wasm is compared with bare onnxruntime:
 *   the same graph, files and threads, in the same run.
 *
 * The end token is ruled out, so that answers have the length that is asked for. transformers.js does not rule it out
 * but goes on after it, because ruling it out would cost it time: from there on its text differs, its work does not.
 */

/** @typedef {import('./page/side.ts').Question} Question */
/** @typedef {import('./page/page.ts').Measured} Measured */
/** @typedef {import('../tools/counters.mjs').Counts} Counts */

/**
 * @typedef {object} Bench how to reach what is measured
 * @property {(side: string, question: Question) => Promise<Measured>} ask
 * @property {(side: string, ms: number) => Promise<void>} hold
 * @property {(side: string, on: boolean) => Promise<void>} idle
 * @property {(side: string, question: Question) => Promise<{ growth: number, peak: number }>} growth
 * @property {(words: string) => void} say
 *
 * @typedef {object} Plan
 * @property {readonly string[]} sides `ours` first
 * @property {readonly string[]} [seeing] those that can be asked about images; default: all
 * @property {boolean} gpu
 * @property {number} rounds 0: counts alone are taken
 * @property {readonly number[]} contexts prompt lengths, in tokens
 * @property {number} short
 * @property {number} long
 * @property {number} hold milliseconds to hold promises back for while counting; above what a step's own work takes
 * @property {boolean} exact whether to take counts as well
 * @property {boolean} growth whether to spend 540 tokens on that
 *
 * @typedef {Record<string, Record<string, number[]>>} Samples by side, by measure
 */

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
  /** Prompt lengths that came about, by measure. @type {Record<string, number>} */
  lengths = {};
  #bench;
  #plan;
  /** Numbers that no image and no text has had yet. */
  #fresh = 0;
  /** How often the filler makes a prompt of about that many tokens. @type {Map<number, number>} */
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
    await this.#calibrate();
    this.#bench.say('warming up');
    if (this.#plan.rounds > 0) await this.#round();
    this.samples = {};
    for (let round = 1; round <= this.#plan.rounds; round++) {
      this.#bench.say(`round ${round} of ${this.#plan.rounds}`);
      await this.#round();
    }
    if (!this.#plan.gpu) return;
    if (this.#plan.exact) await this.#exact();
    if (this.#plan.rounds > 0) for (const side of this.#plan.sides) await this.#host(side);
  }

  async #calibrate() {
    const { ask } = this.#bench;
    const ten = await ask('ours', plain(text(0, FILLER.repeat(10)), 1));
    const thirty = await ask('ours', plain(text(0, FILLER.repeat(30)), 1));
    const each = (thirty.promptTokens - ten.promptTokens) / 20;
    for (const context of this.#plan.contexts) {
      this.#fillers.set(context, Math.max(0, Math.round((context - ten.promptTokens) / each) + 10));
    }
  }

  async #round() {
    for (const context of this.#plan.contexts) await this.#decode(context, false);
    const [context] = this.#plan.contexts;
    if (context !== undefined) await this.#decode(context, true);
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
      if (sampled && side === 'classic') continue;
      const answer = await this.#bench.ask(side, { ...plain(words, long), sampled });
      this.lengths[name] = answer.promptTokens;
      if (side !== 'ours') {
        this.#note(side, name, (answer.totalMs - answer.firstMs) / (long - 1));
        continue;
      }
      // Again, because of the long one the prompt may have been read anew, and of the short one not.
      const full = await this.#bench.ask(side, { ...plain(words, long), sampled });
      const brief = await this.#bench.ask(side, { ...plain(words, short), sampled });
      this.#note(side, name, (full.totalMs - brief.totalMs) / (long - short));
      if (!sampled) this.#note(side, `ort ${context}`, (runTime(full) - runTime(brief)) / (long - short));
    }
  }

  async #five() {
    const words = text(++this.#fresh, FILLER.repeat(4));
    for (const side of this.#plan.sides) {
      const answer = await this.#bench.ask(side, plain(words, 5));
      this.#note(side, 'five', answer.totalMs);
      this.lengths['five'] = answer.promptTokens;
    }
  }

  async #images() {
    const { ask } = this.#bench;
    const image = ++this.#fresh;
    /** @type {Question['turns'][number]} */
    const first = { role: 'user', text: text(image), image };
    for (const side of this.#plan.seeing ?? this.#plan.sides) {
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

  /** What does not vary from run to run, and is measured with promises held back. */
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
      // Every loop reads something and computes something: a counter that counts nothing is broken.
      const { maps, dispatches } = full.after;
      if (maps === 0 || dispatches === 0) throw new Error(`nothing was counted of ${side}`);
      if (!growth) continue;
      const grown = await this.#bench.growth(side, plain(text(1), side === 'ours' ? 540 : 140));
      this.#note(side, 'growth', grown.growth);
      this.#note(side, 'peak bytes', grown.peak);
    }
  }

  /**
   * Last of all, because nothing that a side says afterwards is true.
   *
   * @param {string} side
   */
  async #host(side) {
    const { short, long, rounds } = this.#plan;
    const words = text(0, FILLER.repeat(this.#fillers.get(100) ?? 0));
    this.#bench.say(`${side} without a GPU`);
    // What is read back here is what will be read back from nowhere.
    await this.#bench.hold(side, 1);
    await this.#bench.ask(side, plain(words, short));
    await this.#bench.hold(side, 0);
    await this.#bench.idle(side, true);
    for (let round = 0; round < rounds; round++) {
      const full = await this.#bench.ask(side, plain(words, long * 5));
      const brief = await this.#bench.ask(side, plain(words, short));
      this.#note(side, 'host', (full.totalMs - brief.totalMs) / (long * 5 - short));
    }
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
 * Milliseconds that onnxruntime ran, or the GPU was waited for, within so many after asking.
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
