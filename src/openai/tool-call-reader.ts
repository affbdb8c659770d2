import { TOOL_CALL } from '../protocol/tool-call.ts';
import { randomId } from './response-headers.ts';
import type { ChatCompletionChunk } from './types.ts';

type Delta = ChatCompletionChunk['choices'][number]['delta'];

/** What stands between the beginning of a call and its arguments. */
const HEAD = new RegExp(`^${TOOL_CALL.name}([^"]*)${TOOL_CALL.arguments}`);

/**
 * Splits the text of one choice, as it comes, into text and calls of tools. The grammar holds calls to their form, so the
 * reader need not doubt it.
 */
export class ToolCallReader {
  readonly #form: 'calls' | 'either' | 'both';
  #place: 'text' | 'json' | 'head' | 'arguments' | 'end' = 'text';
  #held = '';
  #calls = 0;

  /** @param form `calls`: nothing else; `either`: calls, or JSON, in which anything may stand; `both`: text, then calls */
  constructor(form: 'calls' | 'either' | 'both') {
    this.#form = form;
  }

  /** How many calls have begun. */
  get calls(): number {
    return this.#calls;
  }

  /** What is known after more text. Text that may be the beginning of a call is held back, with the white space before it. */
  push(text: string): Delta[] {
    this.#held += text;
    const deltas: Delta[] = [];
    for (let delta = this.#next(); delta; delta = this.#next()) deltas.push(delta);
    return deltas;
  }

  /** What was held back and is text, at the end. */
  finish(): Delta[] {
    const isText = this.#place === 'text' && this.#calls === 0 && this.#form !== 'calls';
    return isText && this.#held ? [{ content: this.#held }] : [];
  }

  #next(): Delta | undefined {
    switch (this.#place) {
      case 'text':
        return this.#text();
      case 'json':
        return this.#json();
      case 'head':
        return this.#head();
      case 'arguments':
        return this.#arguments();
      case 'end': {
        // The brace came before.
        const end = TOOL_CALL.end.slice(1);
        if (!this.#held.startsWith(end)) return undefined;
        this.#held = this.#held.slice(end.length);
        this.#place = 'text';
        return this.#text();
      }
    }
  }

  #text(): Delta | undefined {
    if (this.#form === 'either' && this.#calls === 0 && this.#held && !this.#held.startsWith('<')) return this.#json();
    const begin = this.#held.indexOf(TOOL_CALL.begin);
    if (begin >= 0) this.#place = 'head';
    const content = (begin >= 0 ? this.#held.slice(0, begin) : withoutBeginning(this.#held)).trimEnd();
    this.#held = this.#held.slice(begin >= 0 ? begin + TOOL_CALL.begin.length : content.length);
    return content ? { content } : begin >= 0 ? this.#head() : undefined;
  }

  #json(): Delta | undefined {
    this.#place = 'json';
    const content = this.#held;
    this.#held = '';
    return content ? { content } : undefined;
  }

  #head(): Delta | undefined {
    const [head, name] = HEAD.exec(this.#held) ?? [];
    if (head === undefined || name === undefined) return undefined;
    this.#held = this.#held.slice(head.length);
    this.#place = 'arguments';
    const index = this.#calls++;
    return {
      tool_calls: [{ index, id: `call_${randomId()}`, type: 'function', function: { name, arguments: '' } }],
    };
  }

  /** The arguments end with a line, whose last brace is that of the call. */
  #arguments(): Delta | undefined {
    const end = this.#held.indexOf('\n');
    const piece = end >= 0 ? this.#held.slice(0, end - 1) : this.#held.replace(/\}$/, '');
    this.#held = this.#held.slice(end >= 0 ? end : piece.length);
    if (end >= 0) this.#place = 'end';
    if (piece) return { tool_calls: [{ index: this.#calls - 1, function: { arguments: piece } }] };
    return end >= 0 ? this.#next() : undefined;
  }
}

/** A text without the beginning of a call that it ends with. */
function withoutBeginning(text: string): string {
  for (let at = Math.max(0, text.length - TOOL_CALL.begin.length + 1); at < text.length; at++) {
    if (TOOL_CALL.begin.startsWith(text.slice(at))) return text.slice(0, at);
  }
  return text;
}
