import { oneOnly } from '../openai/constraint.ts';
import { STRUCTURED_OUTPUTS } from '../openai/constraint-fields.ts';
import { fieldOf, isNoop, isObject, unsupported } from '../openai/field-checks.ts';
import type { DialectName } from './remote-options.ts';

type Json = Record<string, unknown>;

/** A constraint on the text, and the field that it stands in. */
interface Given {
  name: string;
  param: string;
  value: unknown;
}

/** The constraints' names in `structured_outputs`; elsewhere they begin with `guided_`. */
const NAMES = ['json', 'regex', 'choice', 'grammar', 'json_object'];

/** Why a field is refused that the remote would reject or ignore. */
export const UNDOCUMENTED = 'the remote does not document it';

/**
 * A request whose constraint on the text has the name that the remote has for it. NIM 1.x: `nvext.guided_*`. NIM 2.x:
 * `structured_outputs`, because vLLM has dropped `guided_*` and would answer without a constraint. The others have none.
 *
 * @throws NearsightError `unsupported_field` for what the remote does not have, `invalid_request` for two constraints
 */
export function renameConstraints(body: Json, dialect: DialectName): Json {
  const { nvext, structured_outputs, ...rest } = body;
  const extensions = objectOf(nvext);
  const outputs = objectOf(structured_outputs);
  const [given, other] = [
    ...inFormat(rest['response_format']),
    ...takeFrom(rest, '', 'guided_'),
    ...takeFrom(extensions, 'nvext.', 'guided_'),
    ...takeFrom(outputs, 'structured_outputs.', ''),
  ];
  if (given && other) throw oneOnly(given.param, other.param);
  if (dialect === 'nim1') return forNim1(rest, extensions, outputs, given);
  if (dialect === 'nim2') {
    if (given && !given.param.startsWith('response_format')) outputs[given.name] = given.value;
    const pattern = take(rest, 'guided_whitespace_pattern');
    if (pattern != null) outputs['whitespace_pattern'] = pattern;
  } else if (given) throw unsupported(UNDOCUMENTED, given.param);
  return { ...rest, nvext: extensions, ...(Object.keys(outputs).length > 0 && { structured_outputs: outputs }) };
}

function forNim1(rest: Json, nvext: Json, outputs: Json, given: Given | undefined): Json {
  if (objectOf(rest['response_format'])['type'] === 'structural_tag') {
    throw unsupported(UNDOCUMENTED, 'response_format.type');
  }
  if (given) {
    delete rest['response_format'];
    if (given.name === 'json_object') rest['response_format'] = { type: 'json_object' };
    else nvext[`guided_${given.name}`] = given.value;
  }
  const pattern = take(outputs, 'whitespace_pattern');
  if (pattern != null) rest['guided_whitespace_pattern'] = pattern;
  for (const [name, value] of Object.entries(outputs)) {
    const field = fieldOf(STRUCTURED_OUTPUTS, name);
    if (value !== null && field?.support === 'refused' && !isNoop(field.noopValues, value)) {
      throw unsupported(UNDOCUMENTED, `structured_outputs.${name}`);
    }
  }
  return { ...rest, nvext };
}

/** The constraint of `response_format`, which is left where it is. */
function inFormat(format: unknown): Given[] {
  const { type, json_schema } = objectOf(format);
  const { schema } = objectOf(json_schema);
  if (type === 'json_object') return [{ name: type, param: 'response_format', value: true }];
  if (type !== 'json_schema' || schema == null) return [];
  return [{ name: 'json', param: 'response_format.json_schema.schema', value: schema }];
}

/** The constraints of an object, which are removed from it. */
function takeFrom(fields: Json, path: string, prefix: string): Given[] {
  const all = NAMES.map((name) => ({ name, param: path + prefix + name, value: take(fields, prefix + name) }));
  return all.filter(({ name, value }) => value != null && !(name === 'json_object' && value === false));
}

function take(from: Json, name: string): unknown {
  const value = from[name];
  delete from[name];
  return value;
}

function objectOf(value: unknown): Json {
  return isObject(value) ? { ...value } : {};
}
