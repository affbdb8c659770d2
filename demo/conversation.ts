import type { AnswerFormat } from './answer-format.ts';
import { spoken, tableOf } from './answer-table.ts';
import type { Receipt } from './chat.ts';
import { announce, elements, make } from './elements.ts';
import type { Failure } from './failure.ts';

/** Three digits, which is as precise as the measurement. */
const RATE = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 });

/** One question and its answer on the page. It ends once, with `finish`, `stop` or `fail`. */
export class Turn {
  readonly #answer = make('div', 'answer pending');
  readonly #note = make('p', 'note');
  readonly #format: AnswerFormat | undefined;
  #text = '';

  /** @param format what an answer as data must be */
  constructor(question: string, format?: AnswerFormat) {
    this.#format = format;
    const item = make('li', 'turn');
    item.append(make('p', 'question', question), this.#answer, this.#note);
    elements.turns.append(item);
    item.scrollIntoView({ block: 'nearest' });
  }

  get text(): string {
    return this.#text;
  }

  /** Shows what the turn waits for, until the first text comes. */
  wait(message: string): void {
    if (this.#text === '') this.#answer.textContent = message;
  }

  add(text: string): void {
    this.#answer.classList.remove('pending');
    this.#text += text;
    this.#show();
    this.#scroll();
  }

  /** @param loaded whether the model was loaded before the question; else the load is part of the time to the first token */
  finish(receipt: Receipt, device: string, loaded: boolean): void {
    const words = this.#format ? spoken(this.#format.read(this.#text)) : this.#text.trim();
    this.#settle(`Answer: ${words}`);
    const { origin, model, firstTokenMs, tokensPerSecond, cut } = receipt;
    const facts = [
      origin === 'local' ? `${model}, here on ${device}` : `${model}, by a remote server`,
      `first token after ${seconds(firstTokenMs)}${loaded ? '' : ', loading included'}`,
    ];
    if (tokensPerSecond !== undefined) facts.push(`${RATE.format(tokensPerSecond)} tokens a second`);
    if (cut) facts.push(this.#format ? 'cut off here, so not complete' : 'cut off here');
    this.#write(facts.join(' · '));
  }

  stop(): void {
    this.#settle('Stopped.');
    if (this.#text === '') this.#answer.textContent = '…';
    this.#write('Stopped');
  }

  fail({ summary, detail }: Failure): void {
    this.#settle(`${summary} ${detail}`);
    this.#answer.classList.add('failed');
    this.#answer.textContent = summary;
    this.#write(detail);
  }

  /** Text as it is; data as a table, as far as it has come. */
  #show(): void {
    if (!this.#format) this.#answer.textContent = this.#text.trimStart();
    else this.#answer.replaceChildren(tableOf(this.#format.read(this.#text), this.#format.names));
  }

  #settle(sentence: string): void {
    this.#answer.classList.remove('pending');
    announce(sentence);
  }

  #write(note: string): void {
    this.#note.textContent = note;
    this.#scroll();
  }

  #scroll(): void {
    this.#note.scrollIntoView({ block: 'nearest' });
  }
}

function seconds(milliseconds: number): string {
  return milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}
