import { fieldOf, isNoop, isObject, unsupported, type Field, type Fields } from '../openai/field-checks.ts';
import { Dialect } from '../openai/field-rows.ts';
import { MESSAGE, REQUEST } from '../openai/fields.ts';
import { REFUSED_PARTS } from '../openai/part-fields.ts';
import { renameConstraints, UNDOCUMENTED } from './constraint-dialects.ts';
import type { DialectName } from './remote-options.ts';

type Json = Record<string, unknown>;

/** Makes an image's URL readable for a server. */
type Inline = (url: string, param: string) => Promise<string>;

/** NIM 1.x documents these in `nvext`, all others beside it. */
const EXTENSIONS = ['top_k', 'repetition_penalty', 'ignore_eos'];

const LEGACY_FIELDS = ['messages', 'role', 'content', 'max_tokens', 'temperature', 'top_p', 'seed', 'stream'];

/** No-op values of honoured fields: dropped where the remote does not document the field. */
const NOOP_VALUES: Readonly<Record<string, readonly unknown[]>> = {
  n: [1],
  top_k: [-1, 0],
  min_p: [0],
  frequency_penalty: [0],
  presence_penalty: [0],
  repetition_penalty: [1],
  logit_bias: [{}],
  include_stop_str_in_output: [false],
  stop_token_ids: [[]],
  ignore_eos: [false],
  min_tokens: [0],
  bad_words: [[]],
  return_token_ids: [false],
  skip_special_tokens: [true],
  logprobs: [false],
  top_logprobs: [0],
  tools: [[]],
  tool_choice: ['none', 'auto'],
  parallel_tool_calls: [true, false],
  tool_calls: [[]],
  nvext: [{}],
  cache: [true],
};

/**
 * A request in the dialect of the remote: only fields that it documents, under its names.
 *
 * @param body a request as the client wrote it
 * @throws NearsightError `unsupported_field` for a field that the remote would reject or ignore
 */
export async function toDialect(body: Json, dialect: DialectName, inline: Inline): Promise<Json> {
  const sent = documented(renamed(renameConstraints(body, dialect), dialect), REQUEST, '', dialect);
  if (dialect === 'legacy') delete sent['model'];
  const { messages } = body;
  if (!Array.isArray(messages)) return sent;
  sent['messages'] = await Promise.all(
    messages.map((message: unknown, index) =>
      isObject(message) ? convertMessage(message, `messages[${index}]`, dialect, inline) : message,
    ),
  );
  return sent;
}

/** The body with its fields under the remote's names. */
function renamed(body: Json, dialect: DialectName): Json {
  const { max_completion_tokens, nvext, ...rest } = body;
  // Its default is 'none'.
  if (dialect === 'nim1' && Array.isArray(rest['tools'])) rest['tool_choice'] ??= 'auto';
  const nested: Json = { ...(isObject(nvext) ? nvext : {}) };
  const limit = max_completion_tokens ?? rest['max_tokens'];
  const tokens = limit != null && (dialect === 'nim2' ? { max_completion_tokens: limit } : { max_tokens: limit });
  delete rest['max_tokens'];
  for (const name of EXTENSIONS) {
    const value = rest[name] ?? nested[name];
    delete rest[name];
    delete nested[name];
    if (value != null) (dialect === 'nim1' ? nested : rest)[name] = value;
  }
  return { ...rest, ...tokens, nvext: nested };
}

/** The fields of a request or a message that the remote documents. */
function documented(values: Json, fields: Fields, path: string, dialect: DialectName): Json {
  const sent: Json = {};
  for (const [name, value] of Object.entries(values)) {
    if (value === null) continue;
    const field = fieldOf(fields, name);
    if (field && isDocumentedBy(dialect, name, field)) sent[name] = value;
    else if (!field || !isDroppable(name, field, value)) throw unsupported(UNDOCUMENTED, path + name);
  }
  return sent;
}

function isDocumentedBy(dialect: DialectName, name: string, field: Field): boolean {
  if (dialect === 'legacy') return LEGACY_FIELDS.includes(name);
  return (field.documentedBy & Dialect[dialect]) !== 0;
}

/** Whether a field that the remote does not document may be left out. (`stream_options`: hosted NIM sends usage anyway.) */
function isDroppable(name: string, field: Field, value: unknown): boolean {
  if (field.support === 'harmless' || name === 'model' || name === 'stream_options') return true;
  if (field.support === 'refused') return isNoop(field.noopValues, value);
  if (name === 'response_format') return isObject(value) && value['type'] === 'text';
  return isNoop(NOOP_VALUES[name] ?? [], value);
}

async function convertMessage(message: Json, path: string, dialect: DialectName, inline: Inline): Promise<Json> {
  const { refusal, ...others } = message;
  // As here: few know `refusal`, and without it the remote would answer another chat.
  const given = refusal != null && others['content'] == null ? { ...others, content: refusal } : message;
  const { role, content } = given;
  const sent = documented(given, MESSAGE, `${path}.`, dialect);
  const needed = role === 'tool' ? 'tool_calls' : role === 'function' ? 'function_call' : 'role';
  if (!isDocumentedBy(dialect, needed, MESSAGE[needed])) throw unsupported(UNDOCUMENTED, `${path}.role`);
  if (role === 'developer') sent['role'] = 'system';
  if (!Array.isArray(content)) return sent;
  const parts = await Promise.all(
    content.map((part: unknown, index) => convertPart(part, `${path}.content[${index}]`, dialect, inline)),
  );
  // Strict servers accept arrays in a user's message only.
  const flat = dialect === 'legacy' || (dialect !== 'nim2' && message['role'] !== 'user');
  return { ...sent, content: flat ? parts.map((part, i) => asText(part, `${path}.content[${i}]`)).join('') : parts };
}

async function convertPart(part: unknown, path: string, dialect: DialectName, inline: Inline): Promise<unknown> {
  if (typeof part === 'string') return { type: 'text', text: part };
  if (!isObject(part)) return part;
  const { image_url, text, refusal, type } = part;
  const row = Object.entries(REFUSED_PARTS).find(([name]) => name === type)?.[1];
  if (row && isDocumentedBy(dialect, '', row)) return part;
  if (row) throw unsupported(UNDOCUMENTED, `${path}.type`);
  if (image_url != null) {
    const url = isObject(image_url) ? image_url['url'] : image_url;
    const detail = isObject(image_url) ? image_url['detail'] : part['detail'];
    const readable = typeof url === 'string' ? await inline(url, `${path}.image_url`) : url;
    return { type: 'image_url', image_url: { url: readable, ...(dialect === 'nim2' && detail != null && { detail }) } };
  }
  return { type: 'text', text: text ?? refusal };
}

/** For servers that accept only strings: images become tags. */
function asText(part: unknown, path: string): string {
  if (isObject(part) && typeof part['text'] === 'string') return part['text'];
  if (isObject(part) && isObject(part['image_url'])) return `<img src="${String(part['image_url']['url'])}" />`;
  throw unsupported('the remote takes text and images only', path);
}
