/**
 * Writes the status to a stream: on a terminal every step in one line, otherwise each state once.
 */
export class ProgressLine {
  #stream;
  /** What stands in the terminal's line. */
  #line = '';
  #written = new Set();

  /** @param {{ isTTY?: boolean, write(text: string): unknown }} stream */
  constructor(stream) {
    this.#stream = stream;
  }

  /** @param {import('./page.mjs').Progress} status */
  show({ state, loadedBytes = 0, totalBytes = 0, done = 0, of = 0 }) {
    const detail = {
      downloading: ` ${(loadedBytes / 1e6).toFixed(1)} of ${(totalBytes / 1e6).toFixed(1)} MB`,
      preparing: ` step ${done} of ${of}`,
    }[state];
    // An error says itself why a load has failed.
    if (this.#stream.isTTY) this.#replace(/^(idle|ready|failed)$/.test(state) ? '' : `${state}${detail ?? ''}`);
    else if (state !== 'idle' && !this.#written.has(state)) this.#stream.write(`ask: ${state}\n`);
    this.#written.add(state);
  }

  /** Leaves the terminal's line to what comes next. */
  clear() {
    this.#replace('');
  }

  /** @param {string} line */
  #replace(line) {
    // The answer shares the line, so it is left alone as long as there is nothing to clear.
    if (line !== this.#line) this.#stream.write(`\r\x1b[K${line}`);
    this.#line = line;
  }
}
