import type { ToolInstruction, Turn, TurnPart } from '../protocol/job.ts';
import type { RequestPart } from './content.ts';
import { isObject, mustBe, type Values } from './field-checks.ts';
import type { MESSAGE } from './fields.ts';
import { checkToolMessages, writeCalls, writeResult } from './tool-messages.ts';

/** A turn whose images are URLs. */
export interface RequestTurn {
  role: Turn['role'];
  parts: readonly RequestPart[];
}

/**
 * `messages` as turns, in order, without empty system messages: NVIDIA's samples send one, and it asks for nothing. Results
 * of tools that follow each other are one turn.
 *
 * @param instruction is added to the system message that the chat begins with, or else becomes one: templates may take a
 *   system message only there
 */
export function readTurns(
  messages: readonly Values<typeof MESSAGE>[],
  imgTags: boolean,
  instruction?: ToolInstruction,
): RequestTurn[] {
  const turns: RequestTurn[] = [];
  for (const [index, message] of messages.entries()) {
    const turn = readTurn(message, `messages[${index}]`, imgTags);
    const before = turns.at(-1);
    if (before && message.role === 'tool' && messages[index - 1]?.role === 'tool') {
      turns[turns.length - 1] = { ...before, parts: [textPart(`${textIn(before.parts)}\n${textIn(turn.parts)}`)] };
    } else if (turn.role !== 'system' || !isEmpty(turn.parts)) turns.push(turn);
  }
  if (turns.length === 0) throw mustBe('at least one message that is not empty', messages, 'messages');
  checkToolMessages(messages);
  return instruction === undefined ? turns : instruct(turns, instruction);
}

function instruct(turns: readonly RequestTurn[], instruction: ToolInstruction): RequestTurn[] {
  const [first, ...others] = turns;
  if (first?.role !== 'system') return [{ role: 'system', parts: [instruction] }, ...turns];
  return [{ ...first, parts: [...first.parts, { ...instruction, text: `\n\n${instruction.text}` }] }, ...others];
}

function textPart(text: string): RequestPart {
  return { type: 'text', text };
}

/** The turns of a job: image parts get the bytes of their URLs. */
export function withImages(turns: readonly RequestTurn[], files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>): Turn[] {
  const withBytes = (part: RequestPart): TurnPart => {
    if (part.type !== 'image') return part;
    const { url, ...image } = part;
    return { ...image, bytes: files.get(url) ?? new Uint8Array() };
  };
  return turns.map(({ role, parts }) => ({ role, parts: parts.map(withBytes) }));
}

/**
 * How many images (or audio or video files) a request carries, whether or not it is valid: in each message its audio and all
 * parts that are not text, and the image that NIM 1.x takes beside the messages. In text, only the tags count that a server
 * may read, also across parts, because some are sent as one string.
 */
export function countImages({ image, messages }: Record<string, unknown>): number {
  const all = Array.isArray(messages) ? messages.filter(isObject) : [];
  const given = [image, ...all.map(({ audio }) => audio)].filter((media) => media != null);
  // A remote gets a refusal as the content.
  return all.reduce((count, { content, refusal }) => count + countIn(content ?? refusal), given.length);
}

function countIn(content: unknown): number {
  const parts: readonly unknown[] = Array.isArray(content) ? content : [content ?? ''];
  const text = parts.map((part) => textOf(part) ?? '').join('');
  const others = parts.filter((part) => textOf(part) === undefined);
  return [...text.matchAll(MEDIA_TAG)].length + others.length;
}

const TEXT_TYPES: readonly unknown[] = [undefined, null, 'text', 'input_text', 'output_text', 'refusal'];

/** The text of a part that is nothing else. */
function textOf(part: unknown): string | undefined {
  if (!isObject(part)) return typeof part === 'string' ? part : undefined;
  const { type, image_url, text, refusal } = part;
  const given = text ?? refusal;
  return TEXT_TYPES.includes(type) && image_url == null && typeof given === 'string' ? given : undefined;
}

/**
 * A message as a turn.
 *
 * @param imgTags whether `<img src="…">` in a user's string content is an image
 */
function readTurn(message: Values<typeof MESSAGE>, path: string, imgTags: boolean): RequestTurn {
  const role = readRole(message.role, `${path}.role`);
  const at = `${path}.content`;
  const calls = writeCalls(message.tool_calls ?? [], `${path}.tool_calls`);
  const content = message.content ?? (role === 'assistant' ? (message.refusal ?? (calls ? [] : undefined)) : undefined);
  if (content === undefined) throw mustBe('a string or an array of parts', content, at);
  const parts = typeof content === 'string' ? readText(content, at, imgTags && role === 'user') : content;
  const image = parts.find((part) => part.type === 'image');
  if (image && role !== 'user') {
    throw mustBe("text, because images go in a user's message", image, image.param, 'an image');
  }
  if (role === 'user' && parts.some((part) => part.type === 'text' && INLINE_IMAGE.test(part.text))) {
    const other = imgTags
      ? 'quote the src, and send the content as one string'
      : 'set images.tags to read <img> tags in strings';
    const expected = `text without an image in it: send an image_url part, or ${other}`;
    throw mustBe(expected, parts, at, 'text with an <img> tag whose src is a data: URL');
  }
  // An assistant's earlier answer may be empty; a question may not.
  if (role === 'user' && isEmpty(parts)) throw mustBe('at least one character or image', content, at, 'empty');
  if (role === 'tool') return { role: 'user', parts: [textPart(writeResult(textIn(parts)))] };
  return { role, parts: calls ? [...parts, textPart(isEmpty(parts) ? calls : `\n${calls}`)] : parts };
}

function textIn(parts: readonly RequestPart[]): string {
  return parts.map((part) => (part.type === 'text' ? part.text : '')).join('');
}

function isEmpty(parts: readonly RequestPart[]): boolean {
  return parts.every((part) => part.type === 'text' && part.text === '');
}

function readRole(role: Values<typeof MESSAGE>['role'], path: string): Turn['role'] | 'tool' {
  if (role === undefined) throw mustBe("one of 'system', 'developer', 'user', 'assistant', 'tool'", role, path);
  return role === 'developer' ? 'system' : role;
}

/**
 * `<img src="a" />`, attributes in any order, either kind of quote. Anything escaped stays text. The lookahead keeps to the first
 * `src`: tried with each, the rest of a long text would be searched for the tag's end as often.
 */
const IMG_TAG = /<img\b(?=([^<>]*?\bsrc\s*=\s*(?:"([^"]*)"|'([^']*)')))\1[^<>]*>/gi;

/** A tag that contains its image: nobody asks about the text of one. */
const INLINE_IMAGE = /<img\b[^<>]*?\bsrc\s*=\s*["']?data:image\//i;

const MEDIA_TAG = /<(?:img|video|audio)\b/gi;

function readText(content: string, param: string, imgTags: boolean): RequestPart[] {
  if (!imgTags) return [textPart(content)];
  const parts: RequestPart[] = [];
  let end = 0;
  const addText = (text: string): void => {
    if (text) parts.push(textPart(text));
  };
  for (const tag of content.matchAll(IMG_TAG)) {
    addText(content.slice(end, tag.index));
    parts.push({ type: 'image', url: tag[2] ?? tag[3] ?? '', detail: 'auto', param });
    end = tag.index + tag[0].length;
  }
  addText(content.slice(end));
  return parts;
}
