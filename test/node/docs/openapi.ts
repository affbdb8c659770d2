/**
 * Generates docs/openapi.yaml: openapi.template.yaml, the schema of the request from the table of fields (types and ranges
 * from the checks, the prose from the comments), and the statuses of the error table. openapi.test.ts compares it with the
 * parser.
 */
import { readFileSync } from 'node:fs';
import { parse, stringify } from 'yaml';
import type { Fields, Values } from '../../../src/openai/field-checks.ts';
import type * as tables from '../../../src/openai/fields.ts';
import {
  choices,
  formatType,
  grammar,
  jsonObject,
  jsonSchema,
  jsonSchemaOrText,
  regex,
} from '../../../src/openai/constraint-checks.ts';
import type * as constraints from '../../../src/openai/constraint-fields.ts';
import { content } from '../../../src/openai/content.ts';
import { detail, logitBias, role, someText, stopTexts } from '../../../src/openai/field-values.ts';
import type * as parts from '../../../src/openai/part-fields.ts';
import type * as tools from '../../../src/openai/tool-fields.ts';
import { parameters, toolChoice, toolName, toolType } from '../../../src/openai/tool-fields.ts';
import { ERRORS } from '../../../src/protocol/errors.ts';
import { commentOf, SECTIONS, type TableName } from './api-doc.ts';
import { noted, schemaOf, type Schema } from './openapi-checks.ts';

interface Template {
  paths: { '/v1/chat/completions': { post: { responses: Record<string, unknown> } } };
  components: { schemas: Record<string, Schema> };
}

/** Schema names of the request's tables. */
const NAMES = {
  REQUEST: 'VisionChatRequest',
  STREAM_OPTIONS: 'StreamOptions',
  RESPONSE_FORMAT: 'ResponseFormat',
  JSON_SCHEMA: 'JSONSchemaFormat',
  STRUCTURED_OUTPUTS: 'StructuredOutputs',
  TOOL: 'Tool',
  TOOL_FUNCTION: 'ToolFunction',
  NVEXT: 'NVExt',
  MESSAGE: 'Message',
  CALL: 'ToolCall',
  CALLED_FUNCTION: 'CalledFunction',
  TEXT_PART: 'TextPart',
  REFUSAL_PART: 'RefusalPart',
  IMAGE_PART: 'ImagePart',
  IMAGE_URL: 'ImageURL',
} as const satisfies Partial<Record<TableName, string>>;

type Described = keyof typeof NAMES;
type Tables = typeof tables & typeof constraints & typeof parts & typeof tools;
type Refined = { [Table in Described]?: Partial<Record<keyof Values<Tables[Table]> & string, Schema>> };

const ref = (name: string): Schema => ({ $ref: `#/components/schemas/${name}` });
const text = { type: 'string', minLength: 1 };

noted(detail, () => ({ enum: ['low', 'high', 'auto'] }));
noted(someText, () => text);
noted(formatType, () => ({ enum: ['text', 'json_object', 'json_schema'] }));
noted(jsonSchema, () => ({ type: ['object', 'boolean'] }));
noted(jsonSchemaOrText, () => ({
  anyOf: [
    { type: ['object', 'boolean'] },
    { type: 'string', maxLength: 65536, pattern: '^\\s*(\\{.*\\}|true|false)\\s*$' },
  ],
}));
noted(jsonObject, () => ({ type: 'boolean' }));
noted(regex, () => ({ ...text, maxLength: 4096 }));
noted(choices, () => ({ type: 'array', items: text, minItems: 1, maxItems: 1024 }));
noted(grammar, () => ({ ...text, maxLength: 32768 }));
const name = { type: 'string', pattern: '^[A-Za-z0-9_-]{1,64}$' };
noted(toolName, () => name);
noted(toolType, () => ({ enum: ['function'] }));
noted(parameters, () => ({ type: 'object', properties: { type: { const: 'object' } } }));
noted(toolChoice, () => ({
  anyOf: [
    { enum: ['none', 'auto', 'required'] },
    {
      type: 'object',
      properties: {
        type: { const: 'function' },
        function: { type: 'object', properties: { name }, required: ['name'], additionalProperties: false },
      },
      required: ['function'],
      additionalProperties: false,
    },
  ],
}));
noted(stopTexts, () => ({ anyOf: [text, { type: 'array', items: text, minItems: 0, maxItems: 16 }] }));
noted(logitBias, () => ({
  type: 'object',
  propertyNames: { pattern: '^\\d{1,9}$' },
  additionalProperties: { type: 'number', minimum: -100, maximum: 100 },
}));

noted(role, () => ({ enum: ['system', 'developer', 'user', 'assistant', 'tool'] }));

const PARTS = { anyOf: [{ type: 'string' }, ref('TextPart'), ref('ImagePart'), ref('RefusalPart')] };
noted(content, () => ({ anyOf: [{ type: 'string' }, { type: 'array', items: PARTS }] }));

/** What is checked in parse-request.ts and content.ts instead of in the table. */
const REFINED: Refined = {
  REQUEST: { model: text },
  IMAGE_PART: { image_url: { anyOf: [{ type: 'string', format: 'uri' }, ref('ImageURL')] } },
  IMAGE_URL: { url: { format: 'uri' } },
};

/** The schema name of a table. */
export function nameOf(table: Fields): string {
  const found = Object.entries(SECTIONS).find(([, fields]) => fields === table);
  return NAMES[found?.[0] as Described];
}

/** The description as data. */
export function describeAPI(): Template {
  const source = readFileSync(new URL('openapi.template.yaml', import.meta.url), 'utf8');
  const template = parse(source) as Template;
  const request = Object.entries(NAMES).map(([table, name]) => [name, schemaOfTable(table as Described)] as const);
  template.components.schemas = { ...Object.fromEntries(request), ...template.components.schemas };
  Object.assign(template.paths['/v1/chat/completions'].post.responses, failures());
  return template;
}

/** The description as YAML. */
export function openapi(): string {
  const note = '# Generated: run `npx vitest run --project node test/node/docs/openapi -u`.\n';
  return note + stringify(describeAPI(), { lineWidth: 120, aliasDuplicateObjects: false });
}

/** The schema of a table: refused fields may be sent with their no-op values. */
function schemaOfTable(table: Described): Schema {
  const fields: Fields = SECTIONS[table];
  const refined: Record<string, Schema> = REFINED[table] ?? {};
  const properties: Record<string, Schema> = {};
  const required: string[] = [];
  for (const [name, field] of Object.entries(fields)) {
    const description = commentOf(table, name);
    if (field.support === 'refused') {
      properties[name] = { description: `Refused: ${field.why}.`, enum: [null, ...field.noopValues] };
    } else if (field.support === 'harmless') {
      properties[name] = { description: `No effect here. ${description}` };
    } else {
      const schema = { ...schemaOf(field.read, (nested) => ref(nameOf(nested))), ...refined[name] };
      const isRequired = description.endsWith(' Required.');
      if (isRequired) required.push(name);
      properties[name] = {
        description,
        ...(isRequired ? schema : { anyOf: [schema, { type: 'null' }] }),
        ...defaultIn(description),
      };
    }
  }
  return { type: 'object', properties, required, additionalProperties: false };
}

/** The default value in a row's comment, if there is one. */
function defaultIn(comment: string): Schema {
  const [, word, code] = /Default: (?:`(\w+)`|(true|false|-?\d+(?:\.\d+)?))/.exec(comment) ?? [];
  const value: unknown = code === undefined ? word : JSON.parse(code);
  return value === undefined ? {} : { default: value };
}

/** One entry per status, with its codes. None for an abort, which rejects the call. */
function failures(): Record<string, Schema> {
  const responses: Record<string, Schema> = {};
  for (const status of new Set(Object.values(ERRORS).map((traits) => traits.status))) {
    const codes = Object.entries(ERRORS).filter(([, traits]) => traits.status === status);
    if (status === 499) continue;
    responses[status] = {
      description: codes.map(([code]) => code).join(', '),
      content: { 'application/json': { schema: ref('Error') } },
    };
  }
  return responses;
}
