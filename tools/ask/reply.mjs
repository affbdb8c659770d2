import { createParser } from 'eventsource-parser';

/**
 * @typedef {object} Summary what `--json` prints
 * @property {string} answer without the blank that some models begin with
 * @property {string} origin `local` or `remote`
 * @property {string} model
 * @property {string} device
 * @property {number} ttftMs milliseconds from the request to the first token, the model being loaded
 * @property {number | null} tokensPerSecond after the first; null for an answer of fewer than three tokens
 */

/** Puts together what the page tells: the response's head, then its body as text, a stream of events or an error. */
export class Reply {
  /** @type {Extract<import('./page.mjs').Told, { type: 'head' }> | undefined} */
  #head;
  #answer = '';
  #body = '';
  #tokens = 0;
  #lastTokenMs = 0;
  /** @type {string | undefined} */
  #error;
  #parser = createParser({ onEvent: ({ data }) => this.#read(data) });
  #onText;

  /** @param {(text: string) => void} onText hears the answer as it comes */
  constructor(onText) {
    this.#onText = onText;
  }

  /** @param {import('./page.mjs').Told} told */
  take(told) {
    if (told.type === 'head') this.#head = told;
    if (told.type === 'end') this.#lastTokenMs = told.lastTokenMs;
    if (told.type !== 'text') return;
    if (this.#head?.ok) this.#parser.feed(told.text);
    else this.#body += told.text;
  }

  /**
   * @returns {Summary}
   * @throws if the answer is an error
   */
  finish() {
    const head = this.#head;
    if (!head) throw new Error('There was no response.');
    if (!head.ok) throw new Error(JSON.parse(this.#body).error.message);
    if (this.#error) throw new Error(this.#error);
    const seconds = (this.#lastTokenMs - head.firstTokenMs) / 1000;
    return {
      answer: this.#answer,
      origin: head.origin,
      model: head.model,
      device: head.device,
      ttftMs: Math.round(head.firstTokenMs),
      tokensPerSecond: this.#tokens > 2 ? Number(((this.#tokens - 1) / seconds).toPrecision(3)) : null,
    };
  }

  /** @param {string} data of one event */
  #read(data) {
    if (data === '[DONE]') return;
    const { choices = [], usage, error } = JSON.parse(data);
    const content = choices[0]?.delta.content ?? '';
    const text = this.#answer === '' ? content.trimStart() : content;
    if (text) {
      this.#answer += text;
      this.#onText(text);
    }
    if (usage) this.#tokens = usage.completion_tokens;
    if (error) this.#error = error.message;
  }
}
