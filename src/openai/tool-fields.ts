import { jsonSchema } from './constraint-checks.ts';
import {
  isObject,
  mustBe,
  object,
  oneOf,
  quoted,
  readFields,
  string,
  unsupported,
  type Check,
} from './field-checks.ts';
import { Dialect, harmless, honoured, refused } from './field-rows.ts';

/** The objects of a request that are about tools. As in fields.ts, the comments above the rows are their documentation. */

const { openai: OPENAI, nim1: NIM1, nim2: NIM2 } = Dialect;
/** Who documents tools. */
const ALL = OPENAI | NIM1 | NIM2;

const NO_CUSTOM = 'arguments are JSON';

/** The name of a function. */
export const toolName: Check<string> = (value, path) => {
  const name = string(value, path);
  if (!/^[\w-]{1,64}$/.test(name)) throw mustBe("1 to 64 letters, digits, '_' and '-'", value, path, quoted(name));
  return name;
};

/** `type` of a tool or a call. */
export const toolType: Check<'function'> = (value, path) => {
  if (value === 'custom') throw unsupported(NO_CUSTOM, path);
  return oneOf('function')(value, path);
};

/** The schema of a function's arguments, as the request has it. */
export const parameters: Check<Record<string, unknown>> = (value, path) => {
  if (!isObject(value)) throw mustBe('a JSON Schema of an object', value, path);
  const { type = 'object' } = value;
  if (type !== 'object') throw mustBe("'object', because arguments have names", type, `${path}.type`, quoted(type));
  jsonSchema(value, path);
  return value;
};

/** `tools[].function`. */
export const TOOL_FUNCTION = {
  /** 1 to 64 letters, digits, `_` and `-`. No two tools have the same. Required. */
  name: honoured(ALL, toolName),
  /** What it does, for the model. */
  description: honoured(ALL, string),
  /** The JSON Schema of its arguments, whose type is `object`. Without it there are none. */
  parameters: honoured(ALL, parameters),
  /** Arguments always follow the schema. */
  strict: harmless(OPENAI | NIM2),
};

/** `tools[]`. */
export const TOOL = {
  /** `function`. May be left out. */
  type: honoured(ALL, toolType),
  /** See below. Required. */
  function: honoured(ALL, object(TOOL_FUNCTION)),
  custom: refused(OPENAI, NO_CUSTOM),
};

/** `messages[].tool_calls[].function`. */
export const CALLED_FUNCTION = {
  /** The tool's name. Required. */
  name: honoured(ALL, toolName),
  /** The arguments as text, as the answer had them. Required. */
  arguments: honoured(ALL, string),
};

/** `messages[].tool_calls[]`, the calls of an earlier answer, as they were sent. */
export const CALL = {
  /** The `tool_call_id` of its result. Required. */
  id: honoured(ALL, string),
  /** `function`. May be left out. */
  type: honoured(ALL, toolType),
  /** See below. Required. */
  function: honoured(ALL, object(CALLED_FUNCTION)),
  custom: refused(OPENAI, NO_CUSTOM),
};

const CHOSEN = { name: honoured(ALL, toolName) };
const CHOICE = { type: honoured(ALL, oneOf('function')), function: honoured(ALL, object(CHOSEN)) };

/** `tool_choice`. */
export const toolChoice: Check<'none' | 'auto' | 'required' | { name: string }> = (value, path) => {
  if (!isObject(value)) return oneOf('none', 'auto', 'required')(value, path);
  const { type } = value;
  if (type === 'allowed_tools' || type === 'custom') throw unsupported('send only the tools that may be called', path);
  const name = readFields(value, CHOICE, path).function?.name;
  if (name === undefined) throw mustBe('the name of a tool', name, `${path}.function.name`);
  return { name };
};
