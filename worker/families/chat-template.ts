import { Template } from '@huggingface/jinja';
import { NearsightError } from '../../src/protocol/errors.ts';
import type { Turn, TurnPart } from '../../src/protocol/job.ts';
import { type ModelFiles, readConfig } from './config-reader.ts';
import type { TemplateTokenizer } from './tokenizer.ts';

const EMPTY: TurnPart = { type: 'text', text: '' };

/**
 * Encodes a chat to token ids with the model's own template, as the Python processors do.
 *
 * @param placeholder the template's text for an image
 * @param images the text that replaces it, for each image of the chat in order
 */
export type EncodeTurns = (turns: readonly Turn[], placeholder: string, images: readonly string[]) => Int32Array;

/** @throws NearsightError `load_failed` if neither `chat_template.json` nor `tokenizer_config.json` has a template */
export function openChatTemplate(files: ModelFiles, tokenizer: TemplateTokenizer): EncodeTurns {
  const file = files.has('chat_template.json') ? 'chat_template.json' : 'tokenizer_config.json';
  const template = new Template(readConfig(files, file).string('chat_template'));
  return (turns, placeholder, images) => {
    const messages = turns.map(({ role, parts }) => ({
      role,
      // Templates read the first part of each message, so an empty message needs one.
      content: (parts.length > 0 ? parts : [EMPTY]).map((part) =>
        part.type === 'text' ? { type: 'text', text: tokenizer.quote(part.text) } : { type: 'image' },
      ),
    }));
    const sections = template.render({ messages, add_generation_prompt: true }).split(placeholder);
    if (sections.length !== images.length + 1) {
      const counts = `${sections.length - 1} of the chat's ${images.length} images`;
      throw new NearsightError('load_failed', `The model's chat template has placeholders for ${counts}.`);
    }
    const text = sections.map((section, at) => section + (images[at] ?? '')).join('');
    return Int32Array.from(tokenizer.encodeTemplate(text));
  };
}
