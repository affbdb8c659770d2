import { createParser } from 'eventsource-parser';

/**
 * @typedef {object} Summary what `--json` prints
 * @property {string} answer without the space at its start that some models give
 * @property {string} origin `local` or `remote`
 * @property {string} model
 * @property {string} device
 * @property {number} ttftMs milliseconds from the request to the first token, with a loaded model
 * @property {number | null} tokensPerSecond after the first token; null for an answer of fewer than three tokens
 */

/** Assembles the page's events: the head of the response, then its body, which is a stream or an error. */
export class Reply {
  /** @type {Extract<import('./page.mjs').PageEvent, { type: 'head' }> | undefined} */
  #head;
  #answer = '';
  #body = '';
  #tokens = 0;
  #lastTokenMs = 0;
  /** @type {string | undefined} */
  #error;
  #parser = createParser({ onEvent: ({ data }) => this.#read(data) });
  #onText;

  /** @param {(text: string) => void} onText gets each piece of the answer */
  constructor(onText) {
    this.#onText = onText;
  }

  /** @param {import('./page.mjs').PageEvent} event */
  take(event) {
    if (event.type === 'head') this.#head = event;
    if (event.type === 'end') this.#lastTokenMs = event.lastTokenMs;
    if (event.type !== 'text') return;
    if (this.#head?.ok) this.#parser.feed(event.text);
    else this.#body += event.text;
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
