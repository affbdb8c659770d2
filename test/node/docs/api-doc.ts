/**
 * Generates docs/api.md from the table of fields: support levels and dialects from the rows, the prose from the comment
 * above each row, so that the page cannot differ from the validator.
 */
import { readFileSync } from 'node:fs';
import * as constraints from '../../../src/openai/constraint-fields.ts';
import * as tables from '../../../src/openai/fields.ts';
import * as parts from '../../../src/openai/part-fields.ts';
import * as tools from '../../../src/openai/tool-fields.ts';
import { Dialect } from '../../../src/openai/field-rows.ts';
import type { Field, Fields } from '../../../src/openai/field-checks.ts';
import { ERRORS } from '../../../src/protocol/errors.ts';

const SOURCE = ['fields', 'constraint-fields', 'part-fields', 'tool-fields']
  .map((name) => readFileSync(new URL(`../../../src/openai/${name}.ts`, import.meta.url), 'utf8'))
  .join('\n');
const ERROR_SOURCE = readFileSync(new URL('../../../src/protocol/errors.ts', import.meta.url), 'utf8');

/** The tables, in the order of the page. */
export const SECTIONS = {
  REQUEST: tables.REQUEST,
  STREAM_OPTIONS: tables.STREAM_OPTIONS,
  RESPONSE_FORMAT: constraints.RESPONSE_FORMAT,
  JSON_SCHEMA: constraints.JSON_SCHEMA,
  STRUCTURED_OUTPUTS: constraints.STRUCTURED_OUTPUTS,
  TOOL: tools.TOOL,
  TOOL_FUNCTION: tools.TOOL_FUNCTION,
  NVEXT: tables.NVEXT,
  MESSAGE: tables.MESSAGE,
  CALL: tools.CALL,
  CALLED_FUNCTION: tools.CALLED_FUNCTION,
  TEXT_PART: parts.TEXT_PART,
  IMAGE_PART: parts.IMAGE_PART,
  IMAGE_URL: parts.IMAGE_URL,
  REFUSAL_PART: parts.REFUSAL_PART,
  REFUSED_PARTS: parts.REFUSED_PARTS,
} as const satisfies Record<string, Fields>;

export type TableName = keyof typeof SECTIONS;

/** The comment above a row. */
export function commentOf(table: TableName, name: string): string {
  return commentAbove(`  ${name}:`, bodyOf(table));
}

/** Honoured and harmless rows without a comment. */
export function undocumented(): string[] {
  return Object.entries(SECTIONS).flatMap(([table, fields]) =>
    Object.entries(fields)
      .filter(([name, field]) => field.support !== 'refused' && !commentAbove(`  ${name}:`, bodyOf(table)))
      .map(([name]) => `${table}.${name}`),
  );
}

/** The whole page, as Markdown. */
export function apiPage(): string {
  const sections = Object.entries(SECTIONS).map(([table, fields]) => section(table, fields));
  return `${INTRODUCTION}\n${sections.join('\n')}\n${CONSTRAINTS}\n${TOOLS}\n${HEADERS}\n${ERROR_INTRODUCTION}\n${errors()}`;
}

const INTRODUCTION = `<!-- Generated from src/openai/fields.ts and src/protocol/errors.ts: run \`npx vitest run --project node test/node/docs/api-doc -u\`. -->

# The request, field by field

\`POST …/v1/chat/completions\` takes every field that OpenAI's chat completions, NIM 1.x, NIM 2.x (vLLM) or NVIDIA's
hosted catalogue documents; none is silently ignored. The support level of a field is

- **honoured**: it has its documented effect;
- **harmless**: accepted without effect, because its absence changes no answer;
- **refused**: a 400 \`unsupported_field\` whose \`param\` names the field, except for its no-op values.

\`null\` is the same as leaving a field out. Any other field is a 400 \`invalid_request\`. A value of the wrong type or
range is a 400 that names the field and the range.

Also answered: \`GET …/v1/models\`, \`GET …/v1/models/{id}\`, \`GET …/v1/health/ready\` and \`…/live\`. Every other path
or method on an intercepted origin is a 404 or 405; no request to such an origin is passed on to the network.
`;

const CONSTRAINTS = `## Constrained text

\`response_format\`, \`guided_*\` (at the top level or in \`nvext\`) and \`structured_outputs\` say what the text of every choice
must be. Tokens that would break it are never sampled, so a text that ends with the finish reason \`stop\` is what was asked
for. If \`max_tokens\` or the context ends it before, the finish reason is \`length\`, and the text is the beginning of one.

- **JSON** is written on one line: \`, \` between items, \`: \` after names, and no other white space outside strings.
  Properties come in the order of the schema's \`properties\`; others only if \`additionalProperties\` asks for them, or if the
  schema names none.
- **Strings** may have a \`format\` (date, time, date-time, duration, email, hostname, ipv4, ipv6, uuid, uri), a \`pattern\` (an
  expression of ECMAScript, with lookaheads), \`minLength\` and \`maxLength\`, also together. What zod and pydantic write is tested:
  refused are, among others, sets (\`uniqueItems\`) of free strings, steps like 0.01 (\`multipleOf\`) and \`\\p{…}\`.
- **What cannot be enforced is refused** with \`unsupported_schema\` before a token is sampled. \`param\` names the field, the
  message the place inside the schema and the keyword. Only that a grammar is too ambiguous to follow (more than 2 s for one token,
  or 10 s in all) may show later. \`constraint_unsatisfiable\`: other fields of the request leave no token that the constraint allows.
- **One constraint for each request.** Two fields with one are a 400 that names both, even if they agree. \`response_format\`
  with the type \`text\` is none. \`stop\` cannot be combined with a constraint, because it could end the text too early.
- **Limits**: a schema has at most 65,536 characters as JSON and 64 levels of objects and arrays; a regular expression has 4,096
  characters; a grammar has 32,768; choices together have 32,768. What takes longer than 10 s to compile, all tools of a request
  together, is refused (128 ordinary tools take less than a second on a desktop).
- **Not all that is valid is written**: numbers have up to six digits after the point, and none from 1,000,000,000 on, where they
  are integers of up to 15 digits. Where \`maxLength\` or \`maxItems\` is above 1,000, a string or an array ends there.
- The schema is not shown to the model. Say in the prompt what you want: the constraint only takes away what does not fit.
- A text is constrained as a whole. Free text with a constrained part in it (\`structural_tag\`) is refused; calls of tools are
  the exception.

\`\`\`json
{
  "model": "smolvlm-256m",
  "messages": [{ "role": "user", "content": [{ "type": "image_url", "image_url": { "url": "data:…" } }, "What is it, as JSON?"] }],
  "response_format": {
    "type": "json_schema",
    "json_schema": {
      "name": "thing",
      "schema": {
        "type": "object",
        "properties": { "thing": { "type": "string", "maxLength": 40 }, "count": { "type": "integer", "minimum": 0, "maximum": 99 } },
        "required": ["thing", "count"],
        "additionalProperties": false
      }
    }
  }
}
\`\`\`
`;

const TOOLS = `## Tools

\`tools\` are functions that the answer may call: the page runs them and sends what they return, as with OpenAI. Calls are held
to their form and to their tool's \`parameters\` as the text above is to a schema, so arguments parse and validate unless
\`max_tokens\` cuts them off. A model that was not trained to call tools calls rarely, or badly, if it need not: with
\`"tool_choice": "required"\`, or a tool that is named, it always does.

- **The answer** has \`tool_calls\` with an id, the name and the arguments as text. \`content\` is the text before them, or null. The
  finish reason is \`tool_calls\`; it is \`stop\` if \`tool_choice\` names the tool, as it is with OpenAI; it is \`length\` if
  \`max_tokens\` cut the answer off, and the last call may then have the beginning of its arguments.
- **Streamed**, the first delta of a call has its index, id, type and name, and the deltas after it have pieces of its arguments.
- **Arguments** are an object, written as constrained JSON is. Where \`parameters\` names none (\`{}\`, no \`properties\`), there are
  none. A schema that cannot be enforced is refused with \`unsupported_schema\`; \`param\` is \`tools[0].function.parameters\`.
- **The model is told** in the words of Qwen's chat template, after the system message if there is one at the beginning, and
  calls and results stand in the chat as that template writes them:

\`\`\`
# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
{"type":"function","function":{"name":"find","description":"…","parameters":{…}}}
</tools>

For each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call>
\`\`\`

- **The chat**: each call of an assistant's message must be followed by a message with the role \`tool\` and its id, before any
  other. Results are text. The model reads them as a user's: \`<tool_response>…</tool_response>\`.
- **Beside a constraint that is JSON** (\`response_format\`, \`guided_json\`), the answer is calls, or else that JSON. Other constraints
  (\`guided_regex\`, say) are refused beside tools, unless \`tool_choice\` is \`none\`, and so is \`stop\`. \`min_tokens\` and
  \`ignore_eos\` have no effect. \`functions\` and \`function_call\`, the older forms, are refused.
- \`logprobs\` and \`return_token_ids\` are those of the whole text as the model wrote it, calls included.

\`\`\`json
{
  "model": "smolvlm-256m",
  "messages": [{ "role": "user", "content": [{ "type": "image_url", "image_url": { "url": "data:…" } }, "Add this to the list."] }],
  "tools": [
    {
      "type": "function",
      "function": {
        "name": "add",
        "description": "Adds a thing to the shopping list.",
        "parameters": {
          "type": "object",
          "properties": { "thing": { "type": "string", "maxLength": 40 }, "count": { "type": "integer", "minimum": 1, "maximum": 99 } },
          "required": ["thing", "count"]
        }
      }
    }
  ],
  "tool_choice": "required"
}
\`\`\`
`;

const HEADERS = `## Response headers

| Header | Value |
| --- | --- |
| \`x-nearsight-origin\` | Who answered: \`local\`, \`remote\`, or \`proxy\` (requests that it refused). |
| \`x-nearsight-model\` | The model that answered, by its own name (the body repeats the requested one). Absent if none did. |
| \`x-nearsight-reason\` | Why it was answered there: the policy (\`local-only\` also without a remote; only that policy itself refuses images of other origins), \`chosen\` by the page's own policy, \`catalogue\` for models and health, or an error code. |
| \`x-request-id\` | 32 hexadecimal digits; the body's \`id\` is \`chatcmpl-\` and the same. |
| \`x-should-retry\` | Errors only. \`true\` if the same request may succeed later, else \`false\`. |
| \`retry-after\`, \`retry-after-ms\` | When to retry, with \`queue_full\` (429), a proxy's \`rate_limited\` (429; seconds only), and a remote's 429, 503 and 529: the remote's value, or about two seconds. Other responses of a remote keep the remote's value. |
`;

const ERROR_INTRODUCTION = `## Errors

A failure before the first token is a Response with this body. A failure after it is the same object as the last event
of the stream, without \`[DONE]\`. Only an abort rejects the call to \`fetch\`, with the signal's own reason. \`load\`
and \`ask\` throw the error: \`isNearsightError(thrown)\` recognises it, also across bundles.

\`\`\`json
{ "error": { "message": "…", "type": "invalid_request_error", "param": "messages[0].content[1].image_url", "code": "unreadable_image" } }
\`\`\`

Retry: the same request may succeed when it is sent again; \`x-should-retry\` tells clients.
`;

function section(table: string, fields: Fields): string {
  const title = commentAbove(`export const ${table} =`, SOURCE).replace(/\.$/, '');
  const rows = Object.entries(fields).map(([name, field]) => {
    const prose = commentAbove(`  ${name}:`, bodyOf(table)) || refusalOf(field);
    return `| \`${name}\` | ${field.support} | ${dialects(field.documentedBy)} | ${prose} |`;
  });
  return `## ${title}\n\n| Field | Support | Documented by | Effect |\n| --- | --- | --- | --- |\n${rows.join('\n')}\n`;
}

function refusalOf(field: Field): string {
  if (field.support !== 'refused') return '';
  const why = `${field.why[0]?.toUpperCase()}${field.why.slice(1)}.`;
  if (field.noopValues.length === 0) return why;
  return `${why} Accepted: \`${field.noopValues.map((value) => JSON.stringify(value)).join('`, `')}\`.`;
}

function dialects(documentedBy: number): string {
  const names = { openai: 'OpenAI', nim1: 'NIM 1.x', nim2: 'NIM 2.x', hosted: 'hosted' };
  const has = Object.entries(Dialect).filter(([, bit]) => documentedBy & bit);
  return has.map(([name]) => names[name as keyof typeof Dialect]).join(', ') || 'nearsight';
}

function errors(): string {
  const rows = Object.entries(ERRORS).map(([code, { status, retry }]) => {
    const prose = commentAbove(`  ${code}: {`, ERROR_SOURCE);
    return `| \`${code}\` | ${status} | ${retry ? 'yes' : 'no'} | ${prose} |`;
  });
  return `| Code | Status | Retry | When |\n| --- | --- | --- | --- |\n${rows.join('\n')}\n`;
}

/** The source of one table. */
function bodyOf(table: string): string {
  const start = SOURCE.indexOf(`export const ${table} = {`);
  return SOURCE.slice(start, SOURCE.indexOf('\n};', start));
}

/** The text of the doc comment that ends on the line above. */
function commentAbove(line: string, source: string): string {
  const end = source.indexOf(`\n${line}`);
  const comment = /\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*$/.exec(source.slice(0, Math.max(end, 0)))?.[1] ?? '';
  return comment.replace(/\s*\n\s*\*\s?/g, ' ').trim();
}
