import { choices, formatType, grammar, jsonObject, jsonSchema, jsonSchemaOrText, regex } from './constraint-checks.ts';
import { object } from './field-checks.ts';
import { Dialect, harmless, honoured, refused } from './field-rows.ts';

/**
 * The objects of a request that say what the text of an answer must be. As in fields.ts, the comments above the rows are
 * their documentation.
 */

const { openai: OPENAI, nim1: NIM1, nim2: NIM2 } = Dialect;

/** Why a pattern for the white space of JSON is refused. */
export const FIXED_SPACES = 'JSON is written with ", " and ": " and no other white space';
const NO_TAGS = 'tags within free text are not supported';

/** `response_format.json_schema`. */
export const JSON_SCHEMA = {
  /** The JSON Schema that the text is valid under: an object, true or false. Required. */
  schema: honoured(OPENAI | NIM2, jsonSchema),
  /** A label. */
  name: harmless(OPENAI | NIM2),
  /** A note for models that are shown the schema. */
  description: harmless(OPENAI | NIM2),
  /** The text always follows the schema. */
  strict: harmless(OPENAI | NIM2),
};

/** `response_format`. */
export const RESPONSE_FORMAT = {
  /** `text`: any. `json_object`: a JSON object. `json_schema`: JSON that is valid under the schema. */
  type: honoured(OPENAI | NIM1 | NIM2, formatType),
  /** Only where `type` is `json_schema`; see below. */
  json_schema: honoured(OPENAI | NIM2, object(JSON_SCHEMA)),
  structures: refused(NIM2, NO_TAGS),
  triggers: refused(NIM2, NO_TAGS),
  format: refused(NIM2, NO_TAGS),
};

/** `structured_outputs`, the constraints of vLLM. */
export const STRUCTURED_OUTPUTS = {
  /** As `guided_json`. */
  json: honoured(NIM2, jsonSchemaOrText),
  /** As `guided_regex`. */
  regex: honoured(NIM2, regex),
  /** As `guided_choice`. */
  choice: honoured(NIM2, choices),
  /** As `guided_grammar`. */
  grammar: honoured(NIM2, grammar),
  /** True: as `response_format` with the type `json_object`. */
  json_object: honoured(NIM2, jsonObject),
  /** The white space is fixed, and it is what this asks for. */
  disable_any_whitespace: harmless(NIM2),
  /** There is nothing to fall back to. */
  disable_fallback: harmless(NIM2),
  disable_additional_properties: refused(NIM2, 'the schema decides, with additionalProperties', false),
  whitespace_pattern: refused(NIM2, FIXED_SPACES),
  structural_tag: refused(NIM2, NO_TAGS),
};
