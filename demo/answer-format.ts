import { type Json, parseBeginning } from './partial-json.ts';

/** What an answer must be: fields of a request, and how its text is read. */
export interface AnswerFormat {
  fields: { guided_choice: string[] } | { response_format: object };
  /** The properties of an object, which are there before their values. */
  names: readonly string[];
  read: (text: string) => Json | undefined;
}

/**
 * The format that a schema asks for. A list of words alone is a choice: its answer is the bare word, not a word in quotes.
 *
 * @throws Error in a visitor's words, if the text is no schema
 */
export function formatOf(source: string): AnswerFormat {
  const schema = parseSchema(source);
  const { enum: words, ...others } = schema;
  if (Array.isArray(words) && words.every((word) => typeof word === 'string') && isPlain(others)) {
    return { fields: { guided_choice: words }, names: [], read: (text) => text.trim() || undefined };
  }
  const { properties } = schema;
  const names = typeof properties === 'object' && properties !== null ? Object.keys(properties) : [];
  const format = { type: 'json_schema', json_schema: { name: 'answer', schema } };
  return { fields: { response_format: format }, names, read: parseBeginning };
}

function parseSchema(source: string): Record<string, unknown> {
  let schema: unknown;
  try {
    schema = JSON.parse(source);
  } catch (error) {
    throw new Error(`This is not JSON yet: ${error instanceof Error ? error.message : ''}`, { cause: error });
  }
  if (typeof schema === 'object' && schema !== null && !Array.isArray(schema)) return { ...schema };
  throw new Error('A schema is an object: { "type": "object", "properties": … }');
}

/** Whether nothing else limits the words. */
function isPlain(others: Record<string, unknown>): boolean {
  return Object.entries(others).every(([keyword, value]) => keyword === 'type' && value === 'string');
}
