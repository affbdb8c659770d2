import { asNearsightError, NearsightError } from '../../src/protocol/errors.ts';
import type { Turn, TurnPart } from '../../src/protocol/job.ts';
import { type BoundedTemplate, openTemplate } from './bounded-template.ts';
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

/** @throws NearsightError `load_failed` if no file has a template, or it is not accepted */
export function openChatTemplate(files: ModelFiles, tokenizer: TemplateTokenizer): EncodeTurns {
  const template = openTemplate(templateText(files));
  tryOut(template);
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

/** Newer models have a file of its own, older ones a field. */
function templateText(files: ModelFiles): string {
  const own = files.get('chat_template.jinja');
  if (own) return new TextDecoder().decode(own);
  const file = files.has('chat_template.json') ? 'chat_template.json' : 'tokenizer_config.json';
  return readConfig(files, file).string('chat_template');
}

/** A template that fails or does not end on any chat fails the load, and not each request. */
function tryOut(template: BoundedTemplate): void {
  const messages = [{ role: 'user', content: [{ type: 'text', text: 'Hello' }] }];
  try {
    template.render({ messages, add_generation_prompt: true });
  } catch (error) {
    // It may refuse chats without an image, say.
    if (asNearsightError(error).code !== 'invalid_request') throw error;
  }
}
