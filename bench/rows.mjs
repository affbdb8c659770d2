/** Turns samples into the table: each measure with its bar, and whether it was met. */

/** @typedef {import('./browser.mjs').Outcome} Outcome */

/**
 * @typedef {object} Row
 * @property {string} measure
 * @property {number | null} ours
 * @property {Record<string, number>} theirs by side
 * @property {string} result the value that is compared with the bar, as text
 * @property {string} bar
 * @property {'met' | 'missed' | ''} verdict empty if there is no bar
 */

/** @param {readonly number[]} values */
export function median(values) {
  if (values.length === 0) return undefined;
  const sorted = values.toSorted((one, other) => one - other);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}

/** @param {number} value */
const short = (value) => (value === 0 ? '0' : Number(value.toPrecision(3)).toLocaleString('en'));

/** The medians of an outcome's samples, and the rows made from them. */
class Table {
  /** @type {Row[]} */
  rows = [];
  #outcome;

  /** @param {Outcome} outcome */
  constructor(outcome) {
    this.#outcome = outcome;
  }

  /** @param {string} measure */
  ours(measure) {
    return median(this.#outcome.samples['ours']?.[measure] ?? []);
  }

  /**
   * @param {string} measure
   * @returns {Record<string, number>}
   */
  theirs(measure) {
    const others = Object.entries(this.#outcome.samples).filter(([side]) => side !== 'ours');
    return Object.fromEntries(
      others.flatMap(([side, samples]) => {
        const value = median(samples[measure] ?? []);
        return value === undefined ? [] : [[side, value]];
      }),
    );
  }

  /**
   * Adds a row for a measure, if it was taken.
   *
   * @param {string} measure
   * @param {string} title
   * @param {(ours: number, theirs: number, uncaptured?: number) => { result: string, bar?: string, met?: boolean } | undefined} judge
   *   gets our value, the best of the other sides, or NaN if there is none, and ours without captured steps
   */
  add(measure, title, judge) {
    const ours = this.ours(measure);
    if (ours === undefined) return;
    const theirs = this.theirs(measure);
    const { uncaptured, ...peers } = theirs;
    const best = Object.keys(peers).length > 0 ? Math.min(...Object.values(peers)) : NaN;
    const { result = '', bar = '', met } = judge(ours, best, uncaptured) ?? {};
    this.rows.push({
      measure: title,
      ours,
      theirs,
      result,
      bar,
      verdict: met === undefined ? '' : met ? 'met' : 'missed',
    });
  }
}

/** @param {number} max */
const atMost = (max) => (/** @type {number} */ ours) => ({
  result: short(ours),
  bar: `at most ${short(max)}`,
  met: ours <= max,
});

/** @param {number} times */
const faster =
  (times) =>
  (/** @type {number} */ ours, /** @type {number} */ theirs, /** @type {number | undefined} */ uncaptured) => {
    const results = [
      ...(Number.isNaN(theirs) ? [] : [`${short(theirs / ours)}x`]),
      ...(uncaptured === undefined ? [] : [`${short(uncaptured / ours)}x uncaptured`]),
    ];
    if (results.length === 0) return undefined;
    const slower = theirs / ours < times || (uncaptured ?? Infinity) < ours;
    // A number of times faster than peers only.
    const bar = times === 1 || Number.isNaN(theirs) ? 'never slower' : `${times}x faster`;
    return { result: results.join(', '), bar, met: !slower };
  };

/**
 * @param {number | undefined} of
 * @param {number} max
 * @param {string} words
 */
const share = (of, max, words) => (/** @type {number} */ ours) =>
  of === undefined
    ? undefined
    : { result: `${short(ours / of)} ${words}`, bar: `at most ${max}`, met: ours / of <= max };

/**
 * The rows of one browser and device.
 *
 * @param {Outcome} outcome
 * @returns {Row[]}
 */
export function rowsOf(outcome) {
  const table = new Table(outcome);
  const glimpse = outcome.model === 'glimpse';
  const gpu = outcome.facts['ours']?.device === 'webgpu';
  const timed = gpu && outcome.where.startsWith('firefox') && glimpse;
  if (gpu) addCountRows(table, outcome, glimpse);
  for (const context of contextsOf(outcome)) {
    const decode = table.ours(`decode ${context}`);
    table.add(`decode ${context}`, `decode, ms a token, ${context} tokens of context`, faster(timed ? 4 : 1));
    if (!gpu) {
      const ort = table.ours(`ort ${context}`);
      table.add(`ort ${context}`, `bare ONNX Runtime within it, ms a token`, () =>
        decode === undefined || ort === undefined
          ? undefined
          : { result: `${short(decode / ort)} of bare`, bar: 'at most 1.03', met: decode / ort <= 1.03 },
      );
    }
  }
  const greedy = table.ours('decode 100');
  table.add('sampled', 'decode with sampling, ms a token', (ours) => {
    const judged = share(greedy, 1.1, 'of greedy')(ours);
    // The bar is for SmolVLM's vocabulary of 49,280 tokens.
    return glimpse ? judged && { result: judged.result } : judged;
  });
  table.add('host', 'host work, ms a token', (ours, ...others) => {
    const judged = faster(glimpse ? 3 : 6)(ours, ...others);
    if (!judged || greedy === undefined) return judged;
    // A decode loop can save host work and waits only. The arithmetic is the same for all.
    const arithmetic = Math.round((1 - ours / greedy) * 100);
    return { ...judged, result: `${judged.result}; the GPU's part of our decode is ${arithmetic} %` };
  });
  table.add('heap', 'JavaScript heap allocated, bytes a token', glimpse ? () => undefined : atMost(24_000));
  table.add('five', 'five tokens, ms', faster(timed ? 2 : 1));
  addQuestionRows(table, { glimpse, gpu, timed });
  return table.rows;
}

/** @param {Outcome} outcome */
function contextsOf({ samples }) {
  const measures = Object.keys(samples['ours'] ?? {});
  return measures.flatMap((name) => (name.startsWith('decode ') ? [Number(name.slice('decode '.length))] : []));
}

/**
 * @param {Table} table
 * @param {Outcome} outcome
 * @param {boolean} glimpse
 */
function addCountRows(table, outcome, glimpse) {
  const fast = (table.ours('decode 100') ?? Infinity) < 6;
  table.add('waits', 'waits for the GPU, a token', atMost(0));
  table.add('maps', '`mapAsync`, a token', atMost(fast ? 1 / 8 : 1));
  table.add('readBytes', 'bytes read back, a token', atMost(64));
  // Chromium's software adapter allows 10 storage buffers a stage, lavapipe more than 11.
  const max = outcome.where.startsWith('chromium') ? 330 : 300;
  table.add('dispatches', 'dispatches, a token', glimpse ? () => undefined : atMost(max));
  table.add('submits', 'submissions, a token', () => undefined);
  table.add('growth', 'growth of GPU buffers over 500 tokens (with `max_tokens`), bytes', atMost(0));
}

/**
 * @param {Table} table
 * @param {{ glimpse: boolean, gpu: boolean, timed: boolean }} which
 */
function addQuestionRows(table, { glimpse, gpu, timed }) {
  const image = table.ours('image');
  table.add('image', 'new image, to the first token, ms', faster(timed ? 1.5 : 1));
  table.add('image, own', 'of that outside ONNX Runtime, ms', share(image, 0.1, 'of it'));
  table.add(
    'followup',
    'second question about it, to the first token, ms',
    glimpse ? faster(1) : faster(gpu ? 20 : 10),
  );
  const followup = table.ours('followup') ?? NaN;
  table.add('text', 'the same question without image and chat, to the first token, ms', (ours) => ({
    result: `the second question takes ${short(followup / ours)} of it`,
    bar: 'at most 1.3',
    met: followup / ours <= 1.3,
  }));
  table.add('again', 'the same image in a new chat, to the first token, ms', () => undefined);
  table.add('again, vision runs', 'runs of the vision encoder for that', atMost(0));
}

/**
 * The rows of a model on the second engine.
 *
 * @param {Outcome} outcome
 * @returns {Row[]}
 */
export function secondEngineRows(outcome) {
  const table = new Table(outcome);
  table.add('decode 100', 'decode, ms a token, 100 tokens of context', faster(1));
  table.add('image', 'new image, to the first token, ms', faster(1));
  table.add('text', 'new text of a few words, to the first token, ms', faster(1));
  const image = table.ours('image') ?? NaN;
  table.add('followup', 'second question about the image, to the first token, ms', (ours, theirs) => {
    const judged = faster(10)(ours, theirs, undefined);
    return judged && { ...judged, result: `${judged.result}; ${short(image / ours)}x our new image` };
  });
  return table.rows;
}

/**
 * @param {Outcome} outcome
 * @param {readonly Row[]} [rows]
 * @returns {string} the rows as a Markdown table, with the facts of each side and the sides that failed
 */
export function markdown(outcome, rows = rowsOf(outcome)) {
  const others = Object.keys(outcome.facts).filter((side) => side !== 'ours');
  const columns = ['measure', 'ours', ...others, 'result', 'bar', ''];
  const body = rows.map(({ measure, ours, theirs, result, bar, verdict }) => [
    measure,
    ours === null ? '' : short(ours),
    ...others.map((side) => (theirs[side] === undefined ? '' : short(theirs[side]))),
    result,
    bar,
    verdict,
  ]);
  const lines = [columns, columns.map(() => '---'), ...body].map((cells) => `| ${cells.join(' | ')} |`);
  const facts = Object.entries(outcome.facts).map(
    ([side, { build, threads, dtype, hardware }]) =>
      `${side}: ${build} build, ${threads} thread(s), ${dtype}${hardware ? `, ${hardware}` : ''}`,
  );
  const failed = Object.entries(outcome.failed).map(([side, reason]) => `\n${side} is left out: ${reason}`);
  const head = `\n### ${outcome.model} in ${outcome.where} (${outcome.version})\n`;
  return [head, facts.join('; '), '', ...lines, ...failed].join('\n');
}
