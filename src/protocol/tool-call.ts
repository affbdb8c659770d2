/**
 * How a call of a tool stands in the text of an answer, and of a prompt: in three lines, as Hermes and Qwen write it, which
 * small models have seen most. JSON has no line ends in it, so a line end is the end of the arguments and of a brace after
 * them.
 */
export const TOOL_CALL = {
  /** Where a call begins. Only its first character is a `<`. */
  begin: '<tool_call>',
  name: '\n{"name": "',
  arguments: '", "arguments": ',
  end: '}\n</tool_call>',
  /** Between two calls. */
  between: '\n',
} as const;
