import { NearsightError } from '../protocol/errors.ts';
import { TOOL_CALL } from '../protocol/tool-call.ts';
import { mustBe, quoted, type Values } from './field-checks.ts';
import type { MESSAGE } from './fields.ts';
import type { CALL } from './tool-fields.ts';

/**
 * Checks that each call of an assistant is followed by its result, and each result follows its call, as OpenAI does: in
 * another order, a model would take one for another.
 */
export function checkToolMessages(messages: readonly Values<typeof MESSAGE>[]): void {
  /** Calls without a result, with their paths. */
  let open = new Map<string, string>();
  for (const [index, { role, tool_calls: calls = [], tool_call_id: id }] of messages.entries()) {
    const path = `messages[${index}]`;
    if (id !== undefined && role !== 'tool') throw onlyIn('tool', `${path}.tool_call_id`);
    if (calls.length > 0 && role !== 'assistant') throw onlyIn('assistant', `${path}.tool_calls`);
    if (role === 'tool') {
      if (id !== undefined && open.delete(id)) continue;
      throw mustBe(
        'the id of a call of the assistant message before, that has no result yet',
        id,
        `${path}.tool_call_id`,
        quoted(id),
      );
    }
    checkAnswered(open);
    open = new Map(calls.map((call, at) => [call.id ?? '', `${path}.tool_calls[${at}]`]));
    if (open.size < calls.length) throw mustBe('calls with different ids', calls, `${path}.tool_calls`);
  }
  checkAnswered(open);
}

function checkAnswered(open: ReadonlyMap<string, string>): void {
  for (const param of open.values()) {
    const message = `${param} has no result: add a message with the role 'tool' and its id after it.`;
    throw new NearsightError('invalid_request', message, { param });
  }
}

function onlyIn(role: string, path: string): NearsightError {
  return mustBe(`left out: it belongs to messages with the role '${role}'`, '', path, 'there');
}

/** Calls as the model wrote them: the same tokens, as far as nobody changed them. */
export function writeCalls(calls: readonly Values<typeof CALL>[], path: string): string {
  const texts = calls.map(({ id, function: called }, index) => {
    const at = `${path}[${index}]`;
    if (id === undefined) throw mustBe('a string', id, `${at}.id`);
    if (!called) throw mustBe('an object with name and arguments', called, `${at}.function`);
    const { name, arguments: values } = called;
    if (name === undefined) throw mustBe('a string', name, `${at}.function.name`);
    if (values === undefined) throw mustBe('a string', values, `${at}.function.arguments`);
    return TOOL_CALL.begin + TOOL_CALL.name + name + TOOL_CALL.arguments + values + TOOL_CALL.end;
  });
  return texts.join(TOOL_CALL.between);
}

/** A result as part of a user's turn, as Hermes and Qwen write it. */
export function writeResult(content: string): string {
  return `<tool_response>\n${content}\n</tool_response>`;
}
