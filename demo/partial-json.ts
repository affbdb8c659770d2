/** A value of JSON. */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/**
 * The value of a text that is the beginning of JSON: open strings, arrays and objects end where the text does, and a name
 * without its value is left out. Undefined if there is no value yet.
 */
export function parseBeginning(text: string): Json | undefined {
  const open: string[] = [];
  let inString = false;
  let escapes = false;
  /** The beginning up to the last place where everything could be closed, closed. */
  let closed = '';
  const close = (end: number): string => text.slice(0, end) + open.toReversed().join('');
  for (let index = 0; index < text.length; index++) {
    const character = text[index];
    if (inString) {
      inString = escapes || character !== '"';
      escapes = !escapes && character === '\\';
    } else if (character === '"') inString = true;
    else if (character === '{' || character === '[') {
      open.push(character === '{' ? '}' : ']');
      closed = close(index + 1);
    } else if (character === ',') closed = close(index);
    else if (character === '}' || character === ']') open.pop();
  }
  const whole = escapes ? text.slice(0, -1) : text;
  const value = parse(whole + (inString ? '"' : '') + open.toReversed().join(''));
  // (A value may be null.)
  return value === undefined ? parse(closed) : value;
}

function parse(text: string): Json | undefined {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
