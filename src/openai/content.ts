import type { Detail, TurnPart } from '../protocol/job.ts';
import {
  array,
  isObject,
  mustBe,
  quoted,
  readFields,
  string,
  unsupported,
  type Check,
  type Defer,
  type Values,
} from './field-checks.ts';
import { IMAGE_PART, IMAGE_URL, REFUSAL_PART, REFUSED_PARTS, TEXT_PART } from './part-fields.ts';

export type RequestPart = Exclude<TurnPart, { type: 'image' }> | RequestImage;

/** An image part; `param` is the path of the field that holds the URL. */
export interface RequestImage {
  type: 'image';
  url: string;
  detail: Detail;
  param: string;
}

const readPart: Check<RequestPart> = (part, path, defer) => {
  if (typeof part === 'string') return { type: 'text', text: part };
  if (!isObject(part)) throw mustBe('a string or an object', part, path);
  switch (part['type'] ?? impliedType(part)) {
    case 'text':
    case 'input_text':
    case 'output_text':
      return { type: 'text', text: string(readFields(part, TEXT_PART, path, defer).text, `${path}.text`) };
    case 'refusal':
      return { type: 'text', text: string(readFields(part, REFUSAL_PART, path, defer).refusal, `${path}.refusal`) };
    case 'image_url':
    case 'input_image':
      return readImage(readFields(part, IMAGE_PART, path, defer), `${path}.image_url`, defer);
    default:
      throw unknownPart(part['type'], `${path}.type`);
  }
};

/** vLLM accepts parts without a type, and so do we. */
function impliedType(part: Record<string, unknown>): string | undefined {
  return ['image_url', 'text', 'refusal'].find((type) => type in part);
}

function readImage(part: Values<typeof IMAGE_PART>, param: string, defer?: Defer): RequestImage {
  const { image_url } = part;
  const { url, detail } =
    typeof image_url === 'string' ? { url: image_url } : readFields(image_url, IMAGE_URL, param, defer);
  if (url === undefined) throw mustBe('a URL', url, `${param}.url`);
  return { type: 'image', url, detail: detail ?? part.detail ?? 'auto', param };
}

function unknownPart(type: unknown, path: string): Error {
  const refused = Object.entries(REFUSED_PARTS).find(([name]) => name === type);
  return refused ? unsupported(refused[1].why, path) : mustBe("'text' or 'image_url'", type, path, quoted(type));
}

const parts = array(readPart, 0, Infinity);

/** `messages[].content`: a text, or parts. */
export const content: Check<string | RequestPart[]> = (value, path, defer) => {
  if (typeof value === 'string') return value;
  if (!Array.isArray(value)) throw mustBe('a string or an array of parts', value, path);
  return parts(value, path, defer);
};
