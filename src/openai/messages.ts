import type { Detail, ToolInstruction, Turn, TurnPart } from '../protocol/job.ts';
import { isObject, mustBe, quoted, readFields, string, unsupported, type Values } from './field-checks.ts';
import { IMAGE_PART, IMAGE_URL, REFUSAL_PART, REFUSED_PARTS, TEXT_PART, type MESSAGE } from './fields.ts';
import { checkToolMessages, writeCalls, writeResult } from './tool-messages.ts';

/** A turn whose images are URLs. */
export interface RequestTurn {
  role: Turn['role'];
  parts: readonly RequestPart[];
}

export type RequestPart = Exclude<TurnPart, { type: 'image' }> | RequestImage;

/** An image part; `param` is the path of the field that holds the URL. */
export interface RequestImage {
  type: 'image';
  url: string;
  detail: Detail;
  param: string;
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
 * How many images (or audio or video files) a request carries, whether or not it is valid. In text, only the tags count
 * that a server may read, also across parts, because some are sent as one string.
 */
export function countImages(messages: unknown): number {
  if (!Array.isArray(messages)) return 0;
  const contents = messages.map((message: unknown) => (isObject(message) ? message['content'] : undefined));
  return contents.reduce<number>((count, content) => {
    const parts: readonly unknown[] = Array.isArray(content) ? content : [content];
    const text = parts.map((part) => textOf(part) ?? '').join('');
    const others = parts.filter((part) => isObject(part) && (textOf(part) === undefined || part['image_url'] != null));
    return count + [...text.matchAll(MEDIA_TAG)].length + others.length;
  }, 0);
}

function textOf(part: unknown): string | undefined {
  const text = isObject(part) ? part['text'] : part;
  return typeof text === 'string' ? text : undefined;
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
  const parts = readContent(content, at, imgTags && role === 'user');
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
  if (calls) parts.push(textPart(isEmpty(parts) ? calls : `\n${calls}`));
  return { role, parts };
}

function textIn(parts: readonly RequestPart[]): string {
  return parts.map((part) => (part.type === 'text' ? part.text : '')).join('');
}

function isEmpty(parts: readonly RequestPart[]): boolean {
  return parts.every((part) => part.type === 'text' && part.text === '');
}

function readRole(role: Values<typeof MESSAGE>['role'], path: string): Turn['role'] | 'tool' {
  if (role === 'function') throw unsupported("send tools, and their results with the role 'tool'", path);
  if (role === undefined) throw mustBe("one of 'system', 'developer', 'user', 'assistant', 'tool'", role, path);
  return role === 'developer' ? 'system' : role;
}

function readContent(content: unknown, path: string, imgTags: boolean): RequestPart[] {
  if (typeof content === 'string') return imgTags ? splitTags(content, path) : [{ type: 'text', text: content }];
  if (!Array.isArray(content)) throw mustBe('a string or an array of parts', content, path);
  return content.map((part: unknown, index) => readPart(part, `${path}[${index}]`));
}

function readPart(part: unknown, path: string): RequestPart {
  if (typeof part === 'string') return { type: 'text', text: part };
  if (!isObject(part)) throw mustBe('a string or an object', part, path);
  switch (part['type'] ?? impliedType(part)) {
    case 'text':
    case 'input_text':
    case 'output_text':
      return { type: 'text', text: string(readFields(part, TEXT_PART, path).text, `${path}.text`) };
    case 'refusal':
      return { type: 'text', text: string(readFields(part, REFUSAL_PART, path).refusal, `${path}.refusal`) };
    case 'image_url':
    case 'input_image':
      return readImage(readFields(part, IMAGE_PART, path), `${path}.image_url`);
    default:
      throw unknownPart(part['type'], `${path}.type`);
  }
}

/** vLLM accepts parts without a type, and so do we. */
function impliedType(part: Record<string, unknown>): string | undefined {
  return ['image_url', 'text', 'refusal'].find((type) => type in part);
}

function readImage(part: Values<typeof IMAGE_PART>, param: string): RequestImage {
  const { image_url } = part;
  const { url, detail } = typeof image_url === 'string' ? { url: image_url } : readFields(image_url, IMAGE_URL, param);
  if (url === undefined) throw mustBe('a URL', url, `${param}.url`);
  return { type: 'image', url, detail: detail ?? part.detail ?? 'auto', param };
}

function unknownPart(type: unknown, path: string): Error {
  const refused = Object.entries(REFUSED_PARTS).find(([name]) => name === type);
  return refused ? unsupported(refused[1].why, path) : mustBe("'text' or 'image_url'", type, path, quoted(type));
}

/** `<img src="a" />`, attributes in any order, either kind of quote. Anything escaped stays text. */
const IMG_TAG = /<img\b[^<>]*?\bsrc\s*=\s*(?:"([^"]*)"|'([^']*)')[^<>]*>/gi;

/** A tag that contains its image: nobody asks about the text of one. */
const INLINE_IMAGE = /<img\b[^<>]*?\bsrc\s*=\s*["']?data:image\//i;

const MEDIA_TAG = /<(?:img|video|audio)\b/gi;

function splitTags(content: string, param: string): RequestPart[] {
  const parts: RequestPart[] = [];
  let end = 0;
  const addText = (text: string): void => {
    if (text) parts.push({ type: 'text', text });
  };
  for (const tag of content.matchAll(IMG_TAG)) {
    addText(content.slice(end, tag.index));
    parts.push({ type: 'image', url: tag[1] ?? tag[2] ?? '', detail: 'auto', param });
    end = tag.index + tag[0].length;
  }
  addText(content.slice(end));
  return parts;
}
