import { escape, type OpenBpe, openLibrary, stepsOf } from './bpe.ts';
import { openByteLevel } from './byte-level-bpe.ts';
import { type ConfigReader, isRecord } from './config-reader.ts';

export interface Tokenizer {
  /** Encodes plain text: names of special tokens in it are text like any other. */
  encode(text: string): number[];
  /**
   * The bytes of a token. They may be parts of characters: decode them as a stream.
   *
   * @param withSpecial whether special tokens have those of their names; default: they have none
   */
  bytes(id: number, withSpecial?: boolean): Uint8Array;
}

/** A tokenizer that also encodes rendered templates, in which names of special tokens are those tokens. */
export interface TemplateTokenizer extends Tokenizer {
  /** Like `encode`, but names of special tokens become their ids, except in quoted text. */
  encodeTemplate(text: string): number[];
  /** Quotes text for a template, so that no special token's name is found in it or across its borders. */
  quote(text: string): string;
  /** Ids of all special tokens, by name. */
  readonly special: ReadonlyMap<string, number>;
}

/** Quoted text has this mark after each letter that could start a name. Unicode guarantees that it is no character. */
const MARK = '\uFFFF';

/**
 * Opens a BPE `tokenizer.json`.
 *
 * Added tokens are split off here, because the library would find special ones in plain text too. Sections between them are
 * encoded one by one, as every implementation does, so the ids are the same. Added tokens that are not special (tags of
 * tool calls, runs of line breaks) are part of any text, as in the Python reference.
 *
 * @param openBpe opens what is between them; default: byte-level BPE
 */
export function openTokenizer(file: ConfigReader, openBpe: OpenBpe = openByteLevel): TemplateTokenizer {
  file.expect('model.type', 'BPE');
  const { special, ordinary } = addedTokens(file);
  const start = startToken(file, special);
  const bpe = openBpe(file, openLibrary);
  const names: Ids = new Map([...special, ...ordinary]);
  const split = splitAt(names);
  const splitOrdinary = splitAt(ordinary);
  const namesById = new Map([...names].map(([name, id]) => [id, name]));
  const encode = (text: string): number[] => (text === '' ? [] : bpe.encode(text));
  return {
    special,
    encode: (text) => splitOrdinary(text).flatMap((section) => ordinary.get(section) ?? encode(section)),
    quote: quoteNames(special, ordinary),
    encodeTemplate(text) {
      const ids = split(text).flatMap(
        (section) => names.get(section) ?? encode(section.replace(/\uFFFF(\uFFFF?)/g, '$1')),
      );
      return start === undefined || ids[0] === start ? ids : [start, ...ids];
    },
    bytes(id, withSpecial = false) {
      const name = namesById.get(id);
      return bpe.bytes(id, name === undefined || withSpecial || ordinary.has(name) ? name : '');
    },
  };
}

/** Marks each letter that could start a special token's name. Ordinary names stay, as templates may look for them. */
function quoteNames(special: Ids, ordinary: Ids): (text: string) => string {
  const firstLetters = [...special.keys()].map((name) => escape(name.charAt(0))).join('');
  const kept = [...ordinary.keys()].filter((name) => ![...special.keys()].some((other) => other.startsWith(name)));
  const pattern = new RegExp(`${alternatives(kept)}${kept.length > 0 ? '|' : ''}[${firstLetters}]`, 'g');
  // Marks of the text itself are doubled; single ones are ours.
  return (text) =>
    text
      .replaceAll(MARK, MARK + MARK)
      .replace(pattern, (found) => (found.length === 1 && !ordinary.has(found) ? found + MARK : found));
}

/** Gemma has 6,415. All names are in one regular expression. */
const MOST_ADDED = 2 ** 14;
const MOST_NAME = 256;

type Ids = ReadonlyMap<string, number>;

function addedTokens(file: ConfigReader): { special: Ids; ordinary: Ids } {
  const special = new Map<string, number>();
  const ordinary = new Map<string, number>();
  const added = file.get('added_tokens');
  if (!Array.isArray(added) || added.length === 0 || added.length > MOST_ADDED) {
    throw file.error('added_tokens', `a list of up to ${MOST_ADDED} tokens`);
  }
  for (const token of added) {
    const plain = isRecord(token) && !token['lstrip'] && !token['rstrip'] && !token['single_word'];
    const { content, id, special: isSpecial } = plain ? token : {};
    // A quoted name has a mark in it.
    const named = typeof content === 'string' && content.length >= (isSpecial ? 2 : 1) && content.length <= MOST_NAME;
    if (!named || typeof id !== 'number') {
      throw file.error('added_tokens', `tokens that match by name alone (see ${JSON.stringify(token)})`);
    }
    (isSpecial ? special : ordinary).set(content, id);
  }
  return { special, ordinary };
}

/** The token that every prompt starts with, if the file adds one. Templates that write it themselves have it once. */
function startToken(file: ConfigReader, special: Ids): number | undefined {
  const steps = stepsOf(file.get('post_processor') ?? [], 'processors');
  // ByteLevel changes no ids.
  const adding = steps.filter((step) => !isRecord(step) || step['type'] !== 'ByteLevel');
  if (adding.length === 0) return undefined;
  const singles = JSON.stringify(adding.map((step) => isRecord(step) && step['single']));
  const name = /^\[\[{"SpecialToken":{"id":("[^"]+"),"type_id":0}},{"Sequence":{"id":"A","type_id":0}}\]\]$/.exec(
    singles,
  )?.[1];
  const id = name && special.get(String(JSON.parse(name)));
  if (typeof id === 'number') return id;
  throw file.error('post_processor', 'one special token, then the text');
}

/** As alternatives: of two names that start at the same index, the longer one wins. */
function alternatives(names: Iterable<string>): string {
  return [...names]
    .sort((a, b) => b.length - a.length)
    .map(escape)
    .join('|');
}

/** Splits a text at names, which are sections of their own. */
function splitAt(names: Ids): (text: string) => string[] {
  if (names.size === 0) return (text) => [text];
  const pattern = new RegExp(`(${alternatives(names.keys())})`);
  return (text) => text.split(pattern);
}
