import { Template } from '@huggingface/jinja';
import { NearsightError } from '../../../src/wire/error.ts';
import type { Turn, TurnPart } from '../../../src/wire/job.ts';
import type { TemplateTokenizer } from '../tokenizer.ts';
import type { Grid } from './idefics3-tiles.ts';

const IMAGE = '<image>';
const AROUND = '<fake_token_around_image>';
const WHOLE = '<global-img>';
const NOTHING: TurnPart = { type: 'text', text: '' };

/** Turns chats into token ids, as the Python `Idefics3Processor` does with its chat template. */
export class PromptWriter {
  readonly #template: Template;
  readonly #tokenizer: TemplateTokenizer;
  readonly #rowsPerView: number;

  /**
   * @param template Jinja source of the chat template
   * @param rowsPerView feature rows, and so `<image>` tokens, of one view
   */
  constructor(template: string, tokenizer: TemplateTokenizer, rowsPerView: number) {
    this.#template = new Template(template);
    this.#tokenizer = tokenizer;
    this.#rowsPerView = rowsPerView;
  }

  /** @param grids the tiles of each picture of the chat, in order */
  write(turns: readonly Turn[], grids: readonly Grid[]): Int32Array {
    const rendered = this.#template.render({
      messages: turns.map(({ role, parts }) => ({
        role,
        // Templates look at the first part of each message, so an empty message needs one.
        content: (parts.length > 0 ? parts : [NOTHING]).map((part) =>
          part.type === 'text' ? { type: 'text', text: this.#tokenizer.quote(part.text) } : { type: 'image' },
        ),
      })),
      add_generation_prompt: true,
    });
    const sections = rendered.split(IMAGE);
    if (sections.length !== grids.length + 1) {
      const counts = `${sections.length - 1} of the chat's ${grids.length} pictures`;
      throw new NearsightError('load_failed', `The model's chat template has a place for ${counts}.`);
    }
    const text = sections.map((section, i) => section + (grids[i] ? this.#expand(grids[i]) : '')).join('');
    return Int32Array.from(this.#tokenizer.encodeTemplate(text));
  }

  /** One picture's place in the prompt: a row of features for each view, between tags that say which view it is. */
  #expand({ rows, columns }: Grid): string {
    const features = IMAGE.repeat(this.#rowsPerView);
    const whole = AROUND + WHOLE + features + AROUND;
    if (rows === 0) return whole;
    let text = '';
    for (let row = 1; row <= rows; row++) {
      for (let column = 1; column <= columns; column++) text += `${AROUND}<row_${row}_col_${column}>${features}`;
      text += '\n';
    }
    return `${text}\n${whole}`;
  }
}
