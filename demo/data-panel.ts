import { type AnswerFormat, formatOf } from './answer-format.ts';
import { copies } from './copy.ts';
import { elements, make } from './elements.ts';
import type { Models } from './models.ts';
import { readySchemas } from './ready-schemas.ts';
import { requestCode } from './request-code.ts';

/** The choice between an answer as text and as data, and what an answer as data must be. */
export class DataPanel {
  readonly #models: Models;
  /** The question that came with a ready schema: another one replaces it. */
  #filled = '';

  constructor(models: Models) {
    this.#models = models;
    elements.ready.append(...readySchemas.map(({ name }) => make('option', '', name)));
    elements.ready.addEventListener('change', () => this.#fill());
    for (const input of [elements.asText, elements.asData]) input.addEventListener('change', () => this.#switch());
    elements.schema.addEventListener('input', () => void this.check());
    elements.code.addEventListener('toggle', () => this.#showCode());
    elements.question.addEventListener('input', () => this.#showCode());
    copies(elements.copy, elements.request);
    models.subscribe(() => this.#showCode());
    this.#switch();
  }

  /** The format that was asked for; undefined for text. Shows what is wrong with a schema, and then throws. */
  format(): AnswerFormat | undefined {
    if (!elements.asData.checked) return undefined;
    const format = this.check();
    if (format) return format;
    this.#showEditor();
    throw new Error(elements.problem.textContent ?? '');
  }

  /** Says at the editor why the library refuses the schema. */
  refuse(message: string): void {
    // The place in the request is of use to developers only; the place in the schema is what follows.
    this.#say(`This schema cannot be used: ${message.replace(/^[\w.]+: /, '')}`);
    this.#showEditor();
  }

  check(): AnswerFormat | undefined {
    try {
      const format = formatOf(elements.schema.value);
      this.#say('');
      this.#showCode(format);
      return format;
    } catch (error) {
      this.#say(error instanceof Error ? error.message : String(error));
      return undefined;
    }
  }

  #switch(): void {
    const asData = elements.asData.checked;
    elements.data.hidden = !asData;
    elements.suggestions.hidden = asData;
    const { question, schema } = elements;
    if (!asData && question.value === this.#filled) question.value = '';
    else if (asData && (schema.value === '' || question.value === '')) this.#fill(schema.value === '');
  }

  /** Takes over the schema that was chosen, and its question if there is none of the visitor's own. */
  #fill(withSchema = true): void {
    const ready = readySchemas[elements.ready.selectedIndex];
    if (!ready) return;
    if (withSchema) elements.schema.value = JSON.stringify(ready.schema, null, 2);
    const { question } = elements;
    if (question.value === '' || question.value === this.#filled) question.value = this.#filled = ready.question;
    void this.check();
  }

  #say(problem: string): void {
    elements.problem.textContent = problem;
    elements.problem.hidden = problem === '';
    elements.schema.ariaInvalid = String(problem !== '');
  }

  #showEditor(): void {
    elements.editor.open = true;
    elements.schema.focus();
  }

  #showCode(format = this.#readable()): void {
    const { offer } = this.#models;
    elements.toyNote.hidden = !offer.toy;
    if (!format || !elements.code.open) return;
    const question = elements.question.value.trim() || 'What is this?';
    elements.request.textContent = requestCode(offer, question, format);
  }

  #readable(): AnswerFormat | undefined {
    try {
      return formatOf(elements.schema.value);
    } catch {
      return undefined;
    }
  }
}
