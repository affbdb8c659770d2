import { asNearsightError, NearsightError } from '../../src/protocol/errors.ts';
import type { Turn, TurnPart } from '../../src/protocol/job.ts';
import { TOOL_CALL } from '../../src/protocol/tool-call.ts';
import { openTemplate } from './bounded-template.ts';
import { type ModelFiles, readConfig } from './config-reader.ts';
import type { TemplateTokenizer } from './tokenizer.ts';

/**
 * Encodes a chat to token ids with the model's own template, as the Python processors do.
 *
 * @param placeholder the template's text for an image
 * @param images the text that replaces it, for each image of the chat in order
 */
export type EncodeTurns = (turns: readonly Turn[], placeholder: string, images: readonly string[]) => Int32Array;

/**
 * @param inText the placeholder, for templates that take a message as text with its images in it
 * @throws NearsightError `load_failed` if no file has a template, or it is not accepted
 */
export function openChatTemplate(files: ModelFiles, tokenizer: TemplateTokenizer, inText?: string): EncodeTurns {
  const source = templateText(files);
  const template = openTemplate(source);
  const special = specialTokens(files);
  // Calls are held to this form and found by it: a template that asks for another one is not shown the tools. And JSON can be
  // quoted only if all that it marks is within strings.
  const knowsTools =
    source.includes('tools') &&
    source.includes(TOOL_CALL.begin) &&
    /"arguments\\?":/.test(source) &&
    [...tokenizer.special.keys()].every((name) => name.startsWith('<'));
  const render = (turns: readonly Turn[]): string => {
    const instruction = knowsTools ? turns[0]?.parts.find((part) => part.type === 'tools') : undefined;
    const messages = turns.flatMap(({ role, parts }) => {
      if (parts.length === 1 && parts[0] === instruction) return [];
      const told = parts.filter((part) => part !== instruction);
      return [{ role, content: contentOf(role === 'user' ? told : [joined(told)], tokenizer, inText) }];
    });
    const tools: unknown = instruction && JSON.parse(tokenizer.quote(`[${instruction.tools.join()}]`));
    return template.render({ ...special, messages, add_generation_prompt: true, ...(instruction && { tools }) });
  };
  tryOut(render);
  return (turns, placeholder, images) => {
    const sections = render(turns).split(placeholder);
    if (sections.length !== images.length + 1) {
      const counts = `${sections.length - 1} of the chat's ${images.length} images`;
      throw new NearsightError('load_failed', `The model's chat template has placeholders for ${counts}.`);
    }
    const text = sections.map((section, at) => section + (images[at] ?? '')).join('');
    return Int32Array.from(tokenizer.encodeTemplate(text));
  };
}

/** Gemma 3's and Mistral's templates read one part of a system message, and must find one; Gemma's trims each part of others. */
function joined(parts: readonly TurnPart[]): TurnPart {
  return { type: 'text', text: parts.map((part) => (part.type === 'image' ? '' : part.text)).join('') };
}

function contentOf(parts: readonly TurnPart[], { quote }: TemplateTokenizer, inText?: string): object[] | string {
  if (inText !== undefined) return parts.map((part) => (part.type === 'image' ? inText : quote(part.text))).join('');
  return parts.map((part) => (part.type === 'image' ? { type: 'image' } : { type: 'text', text: quote(part.text) }));
}

/** Newer models have a file of its own, older ones a field. */
function templateText(files: ModelFiles): string {
  const own = files.get('chat_template.jinja');
  if (own) return new TextDecoder().decode(own);
  const file = files.has('chat_template.json') ? 'chat_template.json' : 'tokenizer_config.json';
  return readConfig(files, file).string('chat_template');
}

/** The special tokens that templates name, by the names of their fields. */
function specialTokens(files: ModelFiles): Record<string, unknown> {
  if (!files.has('tokenizer_config.json')) return {};
  const config = readConfig(files, 'tokenizer_config.json');
  const names = ['bos_token', 'eos_token', 'pad_token', 'unk_token'];
  return Object.fromEntries(names.map((name) => [name, config.get(`${name}.content`) ?? config.get(name) ?? '']));
}

/** A template that fails or does not end on any chat fails the load, and not each request. */
function tryOut(render: (turns: readonly Turn[]) => string): void {
  try {
    render([{ role: 'user', parts: [{ type: 'text', text: 'Hello' }] }]);
  } catch (error) {
    // It may refuse chats without an image, say.
    if (asNearsightError(error).code !== 'invalid_request') throw error;
  }
}
