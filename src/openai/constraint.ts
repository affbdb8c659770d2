import { NearsightError } from '../protocol/errors.ts';
import type { TextConstraint } from '../protocol/job.ts';
import { jsonObject } from './constraint-checks.ts';
import { mustBe, quoted, unsupported, type Values } from './field-checks.ts';
import type { REQUEST } from './fields.ts';
import type { ToolConstraint } from './tools.ts';

/**
 * What the text of the answer must be, whichever field says it.
 *
 * @param tools what `tools` say
 * @throws NearsightError `invalid_request` if two fields say it, even if they agree; `unsupported_field` if `tools` cannot
 *   stand beside it
 */
export function readConstraint(
  fields: Values<typeof REQUEST>,
  tools: ToolConstraint | undefined,
): TextConstraint | undefined {
  const { nvext = {}, structured_outputs: outputs = {} } = fields;
  const [format, other] = [
    readFormat(fields.response_format),
    outputs.json,
    outputs.regex,
    outputs.choice,
    outputs.grammar,
    outputs.json_object,
    ...[fields, nvext].flatMap((at) => [at.guided_json, at.guided_regex, at.guided_choice, at.guided_grammar]),
  ].filter((given) => given !== undefined);
  if (format && other) throw oneOnly(format.param, other.param);
  const constraint = format && tools ? eitherOf(format, tools) : (format ?? tools);
  for (const name of ['stop', 'stop_token_ids'] as const) {
    if (constraint && fields[name]?.length) {
      throw unsupported(
        `it could end the text before it is what ${constraint.param} asks for. Remove one of them`,
        name,
      );
    }
  }
  return constraint;
}

/** Calls, or JSON. */
function eitherOf(format: TextConstraint, tools: ToolConstraint): TextConstraint {
  if (format.type === 'json') return { ...tools, otherwise: { schema: format.schema, param: format.param } };
  throw unsupported(
    `beside ${format.param}, which is not JSON, no call could be told from text. Remove one`,
    tools.param,
  );
}

/** The 400 for two fields with a constraint. */
export function oneOnly(first: string, other: string): NearsightError {
  const message = `${first} and ${other} both say what the text must be. Remove ${other}, or the first.`;
  return new NearsightError('invalid_request', message, { param: other });
}

function readFormat({ type, json_schema }: NonNullable<Values<typeof REQUEST>['response_format']> = {}) {
  const path = 'response_format';
  if (json_schema && type !== 'json_schema') {
    throw mustBe("'json_schema', as json_schema is given", type, `${path}.type`, quoted(type));
  }
  if (type === 'json_object') return jsonObject(true, path);
  if (type !== 'json_schema') return undefined;
  if (!json_schema) throw mustBe('an object with a schema', json_schema, `${path}.json_schema`);
  if (!json_schema.schema) throw mustBe('a JSON Schema', undefined, `${path}.json_schema.schema`);
  return json_schema.schema;
}
