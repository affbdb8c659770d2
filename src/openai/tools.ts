import type { CallableTool, TextConstraint, ToolInstruction } from '../protocol/job.ts';
import { mustBe, quoted, type Values } from './field-checks.ts';
import type { REQUEST } from './fields.ts';
import type { TOOL } from './tool-fields.ts';

/** How an answer may call tools. */
export interface ToolUse {
  choice: 'auto' | 'required' | 'named';
  constraint: ToolConstraint;
  /** What the model is told about them. */
  instruction: ToolInstruction;
}

export type ToolConstraint = Extract<TextConstraint, { type: 'tools' }>;

/** A tool, checked, and what the model is shown of it. */
interface ReadTool extends CallableTool {
  description: string | undefined;
  parameters: unknown;
}

/**
 * The tools that the answer may call; undefined if it may call none. A tool that is named is the only one that the model is
 * shown.
 */
export function readTools(fields: Values<typeof REQUEST>): ToolUse | undefined {
  const { tool_choice: choice = 'auto', parallel_tool_calls: parallel = true } = fields;
  const tools = (fields.tools ?? []).map((tool, index) => readTool(tool, `tools[${index}].function`));
  for (const [index, { name }] of tools.entries()) {
    if (tools.findIndex((other) => other.name === name) < index) {
      throw mustBe('a name that no other tool has', name, `tools[${index}].function.name`, quoted(name));
    }
  }
  if (typeof choice === 'object') {
    const named = tools.filter(({ name }) => name === choice.name);
    if (named.length === 0) {
      throw mustBe('the name of one of tools', choice.name, 'tool_choice.function.name', quoted(choice.name));
    }
    return { choice: 'named', constraint: callsOf(named, true, false), instruction: instructionFor(named) };
  }
  if (choice === 'none') return undefined;
  const required = choice === 'required';
  if (tools.length === 0) {
    if (required) throw mustBe("'none' or 'auto', as there are no tools", choice, 'tool_choice', quoted(choice));
    return undefined;
  }
  return { choice, constraint: callsOf(tools, required, parallel), instruction: instructionFor(tools) };
}

function readTool({ function: fields }: Values<typeof TOOL>, path: string): ReadTool {
  if (!fields) throw mustBe('an object with a name', fields, path);
  const { name, description, parameters } = fields;
  if (name === undefined) throw mustBe('a string', name, `${path}.name`);
  return { name, description, parameters, schema: schemaOf(parameters), param: `${path}.parameters` };
}

/** Keywords that say nothing about which arguments there are. */
const SILENT = ['type', '$schema', '$defs', 'title', 'description'];

/** Where the schema names no argument there is none: a small model would make them up. */
function schemaOf({ properties = {}, ...schema }: Record<string, unknown> = {}): unknown {
  const names = Object.keys(Object(properties));
  const required = Array.isArray(schema['required']) ? schema['required'] : [];
  const silent = ([keyword]: [string, unknown]): boolean =>
    SILENT.includes(keyword) || (keyword === 'required' && required.length === 0);
  const isClosed = names.length === 0 && Object.entries(schema).every(silent);
  return { ...schema, type: 'object', properties, ...(isClosed && { additionalProperties: false }) };
}

function callsOf(tools: readonly ReadTool[], required: boolean, parallel: boolean): ToolConstraint {
  const callable = tools.map(({ name, schema, param }) => ({ name, schema, param }));
  return { type: 'tools', tools: callable, required, parallel, param: 'tools' };
}

/** In the words of Qwen's chat template, which small models have seen most; a template that knows tools has its own. */
function instructionFor(tools: readonly ReadTool[]): ToolInstruction {
  const shown = tools.map(({ name, description, parameters }) =>
    JSON.stringify({ type: 'function', function: { name, description, parameters } }),
  );
  const text = `# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
${shown.join('\n')}
</tools>

For each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call>`;
  return { type: 'tools', text, tools: shown };
}
