import { choices, grammar, jsonSchemaOrText, regex } from './constraint-checks.ts';
import { FIXED_SPACES, RESPONSE_FORMAT, STRUCTURED_OUTPUTS } from './constraint-fields.ts';
import { content } from './content.ts';
import { array, boolean, integer, number, object, string } from './field-checks.ts';
import { Dialect, harmless, honoured, refused } from './field-rows.ts';
import { logitBias, role, someText, stopTexts } from './field-values.ts';
import { NO_REASONING } from './part-fields.ts';
import { CALL, TOOL, toolChoice } from './tool-fields.ts';

/**
 * size: one table, to be read with docs/api.md.
 *
 * Every field that OpenAI's chat completions, NIM 1.x, NIM 2.x (vLLM) or the hosted catalogue documents, and its support
 * level. This table is the validator, and `docs/api.md` is generated from it. The descriptions are the comments above the
 * rows, so they are not shipped. The conformance test sends each row alone.
 */

const { openai: OPENAI, nim1: NIM1, nim2: NIM2, hosted: HOSTED } = Dialect;
const SELF_HOSTED = NIM1 | NIM2;
const ALL = OPENAI | NIM1 | NIM2 | HOSTED;

const NO_FUNCTIONS = 'send tools and tool_calls instead';
const NO_AUDIO = 'answers are text';
const NO_TEMPLATE = "the prompt follows the model's own chat template";
const NO_SAMPLER = 'the sampler does not have it';
const NO_REPORT = 'it is not reported';
const NO_TRANSFER = 'there is one engine';

/** `stream_options`. */
export const STREAM_OPTIONS = {
  /** True: a last chunk without choices carries the usage, and every other chunk `usage: null`. Default: false. */
  include_usage: honoured(OPENAI | SELF_HOSTED, boolean),
  continuous_usage_stats: refused(SELF_HOSTED, 'usage is counted once, at the end', false),
  /** Padding against observers of the network; the answer does not cross a network. */
  include_obfuscation: harmless(OPENAI),
};

/** `nvext`, the extensions of NIM 1.x. */
export const NVEXT = {
  /** As `top_k`; if both are given, they must agree. */
  top_k: honoured(NIM1, integer(-1)),
  /** As `repetition_penalty`; if both are given, they must agree. */
  repetition_penalty: honoured(NIM1, number(0, 2, 0)),
  /** As `ignore_eos`; if both are given, they must agree. */
  ignore_eos: honoured(NIM1, boolean),
  /** The older place of `guided_json`. */
  guided_json: honoured(NIM1, jsonSchemaOrText),
  /** The older place of `guided_regex`. */
  guided_regex: honoured(NIM1, regex),
  /** The older place of `guided_choice`. */
  guided_choice: honoured(NIM1, choices),
  /** The older place of `guided_grammar`. */
  guided_grammar: honoured(NIM1, grammar),
};

/** `messages[]`. */
export const MESSAGE = {
  /** `system` (or its newer name `developer`), `user`, `assistant`, or `tool` for the result of a call. Required. */
  role: honoured(ALL, role),
  /**
   * A string, or an array of parts. `<img src="…">` in a user's string is an image at NVIDIA's paths with a model in them,
   * or if the page set `images.tags`; otherwise it is text, and refused if its image is a `data:` URL. An assistant's message
   * with `tool_calls` may have none.
   */
  content: honoured(ALL, content),
  /** An assistant's earlier refusal; used as the content if that is missing. */
  refusal: honoured(OPENAI | NIM2, string),
  /** The calls of an earlier answer, up to 128: in an assistant's message, followed by a result for each. */
  tool_calls: honoured(OPENAI | SELF_HOSTED, array(object(CALL), 0, 128)),
  /** The call whose result this is: in a message with the role `tool`. */
  tool_call_id: honoured(OPENAI | SELF_HOSTED, string),
  /** The author's name; the chat template does not use it. */
  name: harmless(OPENAI | SELF_HOSTED),
  /** Part of OpenAI's answers, accepted when sent back. */
  annotations: harmless(OPENAI | NIM2),
  /** Part of a reasoning model's answers, accepted when sent back; templates leave it out. */
  reasoning: harmless(NIM2),
  /** The older name of `reasoning`. */
  reasoning_content: harmless(SELF_HOSTED | HOSTED),
  function_call: refused(OPENAI | NIM2, NO_FUNCTIONS),
  audio: refused(OPENAI | NIM2, NO_AUDIO),
};

/** The body of `POST /v1/chat/completions`. */
export const REQUEST = {
  /** The name of a model that is served here, or an alias of one. Responses repeat it. Required. */
  model: honoured(ALL, string),
  /** The chat so far, 1 to 1024 messages. Required. */
  messages: honoured(ALL, array(object(MESSAGE), 1, 1024)),
  /**
   * Maximum tokens of each choice, at least 1; on a GPU, memory for them is reserved at once. Default: as many as the context
   * leaves.
   */
  max_tokens: honoured(ALL, integer(1)),
  /** The newer name of `max_tokens`; if both are given, they must agree. */
  max_completion_tokens: honoured(OPENAI | NIM2, integer(1)),
  /** 0 to 2. Default: 0, always the likeliest token, because sampling degrades the answers of small models. */
  temperature: honoured(ALL, number(0, 2)),
  /** Above 0, at most 1: keep the likeliest tokens whose probabilities reach this sum. Default: 1, all. */
  top_p: honoured(ALL, number(0, 1, 0)),
  /** Keep this many of the likeliest tokens. Default: -1 (or 0), all. */
  top_k: honoured(NIM2, integer(-1)),
  /** 0 to 1: keep tokens at least this fraction as likely as the likeliest. Default: 0, all. */
  min_p: honoured(SELF_HOSTED, number(0, 1)),
  /** An integer. Same seed, same request, same text. Default: a fresh one. */
  seed: honoured(ALL, integer(-(2 ** 63), 2 ** 63)),
  /** One text, or up to 16: the answer ends before the first that occurs. Refused where the text is constrained. */
  stop: honoured(ALL, stopTexts),
  /** True: the stop text is part of the answer, as is the text of a token of `stop_token_ids`. Default: false. */
  include_stop_str_in_output: honoured(NIM2, boolean),
  /** Up to 1024 token ids that end the answer, whose text is not part of it. Refused where the text is constrained. */
  stop_token_ids: honoured(NIM2, array(integer(0), 0, 1024)),
  /**
   * True: the model's end tokens do not end the answer; they have no text. A constrained text ends when it is whole. Default:
   * false.
   */
  ignore_eos: honoured(NIM2, boolean),
  /**
   * The answer has at least so many tokens, at most `max_tokens`: end tokens and `stop_token_ids` are not generated before, and
   * stop texts do not count. A constrained text ends when it is whole. Default: 0.
   */
  min_tokens: honoured(NIM2, integer(0)),
  /** Only these token ids are generated, at least one. Without an end token among them, the answer ends at `max_tokens`. */
  allowed_token_ids: honoured(NIM2, array(integer(0), 1, 262_144)),
  /**
   * Up to 128 texts that are not generated, in the tokens that the tokenizer has for them, with and without a space before: of
   * several tokens, the last is forbidden after the others. (On a GPU, texts of several tokens make each token wait for the
   * one before.) Other tokens may still spell the same text.
   */
  bad_words: honoured(NIM2, array(someText, 0, 128)),
  /** 1 to 128 answers. Default: 1. At temperature 0 they are all the same. */
  n: honoured(OPENAI | SELF_HOSTED, integer(1, 128)),
  /** -2 to 2, times how often a token is in the answer so far. Default: 0. */
  frequency_penalty: honoured(ALL, number(-2, 2)),
  /** -2 to 2, for each token that is in the answer so far. Default: 0. */
  presence_penalty: honoured(ALL, number(-2, 2)),
  /** Above 0, at most 2: divides the logits of tokens in prompt and answer. Default: 1, off. */
  repetition_penalty: honoured(NIM2, number(0, 2, 0)),
  /** Token id to bias, -100 to 100, added to its logit. */
  logit_bias: honoured(OPENAI | SELF_HOSTED, logitBias),
  /** True: the log probability of each token, with its bytes. Default: false. */
  logprobs: honoured(OPENAI | SELF_HOSTED, boolean),
  /** 0 to 20 of the likeliest tokens beside each, if `logprobs` is true. Default: 0. */
  top_logprobs: honoured(OPENAI | SELF_HOSTED, integer(0, 20)),
  /**
   * True: `prompt_token_ids` in the response (or in the first chunk of each choice), and `token_ids` in each choice: all that
   * were generated, those of an end token or a stop text, too. Default: false.
   */
  return_token_ids: honoured(NIM2, boolean),
  /**
   * False: the text has the names of special tokens, such as the tags that Granite-Docling writes a page with; not that of the
   * end token. Default: true, without them.
   */
  skip_special_tokens: honoured(NIM2, boolean),
  /** True: server-sent events as the text comes. Default: false, one JSON body. */
  stream: honoured(ALL, boolean),
  /** Only where `stream` is true; see below. */
  stream_options: honoured(OPENAI | SELF_HOSTED, object(STREAM_OPTIONS)),
  /** What the text must be; see below. */
  response_format: honoured(OPENAI | SELF_HOSTED, object(RESPONSE_FORMAT)),
  /** The text is JSON that is valid under this JSON Schema: an object, true, false, or one of them as a string of JSON. */
  guided_json: honoured(NIM2, jsonSchemaOrText),
  /** The whole text matches this regular expression. */
  guided_regex: honoured(NIM2, regex),
  /** The text is one of these, 1 to 1024, none empty. */
  guided_choice: honoured(NIM2, choices),
  /** The whole text matches this grammar in EBNF, whose first rule is `root`. */
  guided_grammar: honoured(NIM2, grammar),
  /** vLLM's newer place of `guided_*`; see below. */
  structured_outputs: honoured(NIM2, object(STRUCTURED_OUTPUTS)),
  /** Functions that the answer may call, up to 128; see below. */
  tools: honoured(OPENAI | SELF_HOSTED, array(object(TOOL), 0, 128)),
  /**
   * `none`: no tool is called, and none is shown to the model. `auto`: text, or calls, or calls after text. `required`: calls.
   * `{"type": "function", "function": {"name": …}}`: one call of that tool. Default: `auto`.
   */
  tool_choice: honoured(OPENAI | SELF_HOSTED, toolChoice),
  /** False: one call at most. True: up to 16. Has no effect without `tools`. Default: true. */
  parallel_tool_calls: honoured(OPENAI | SELF_HOSTED, boolean),
  /** See below. */
  nvext: honoured(NIM1, object(NVEXT)),
  /**
   * A field of nearsight. False: caches of earlier requests are not used, and nothing of this one (text, images, answer) is
   * cached. Default: true.
   */
  cache: honoured(0, boolean),

  /** A label for the operator of a server. */
  user: harmless(OPENAI | SELF_HOSTED),
  /** A label for the operator of a server. */
  safety_identifier: harmless(OPENAI),
  /** A label for the operator of a server. */
  session_id: harmless(NIM2),
  /** Labels for answers that OpenAI stores. */
  metadata: harmless(OPENAI),
  /** Nothing is stored. */
  store: harmless(OPENAI),
  /** A price class. */
  service_tier: harmless(OPENAI),
  /** Not needed: the prefix cache finds common prefixes itself. */
  prompt_cache_key: harmless(OPENAI),
  /** Not needed: the prefix cache finds common prefixes itself. */
  prompt_cache_options: harmless(OPENAI),
  /** Not needed: the prefix cache finds common prefixes itself. */
  prompt_cache_retention: harmless(OPENAI),
  /** A guess at the answer, for speed; the answer is the same without. */
  prediction: harmless(OPENAI),
  /** The model does not reason. */
  include_reasoning: harmless(NIM2),
  /** For video, which is refused. */
  num_frames_per_inference: harmless(NIM1),
  /** There is one, and what it cannot enforce is refused. */
  guided_decoding_backend: harmless(NIM2),
  /** For vLLM's render endpoint. */
  return_token_offsets: harmless(NIM2),
  /** For vLLM's render endpoint. */
  return_mm_kwargs: harmless(NIM2),
  /** For mixtures of experts. */
  routed_experts_prompt_start: harmless(NIM2),

  functions: refused(OPENAI, NO_FUNCTIONS, []),
  function_call: refused(OPENAI, NO_FUNCTIONS, 'none'),
  web_search_options: refused(OPENAI, 'the model does not search'),
  guided_whitespace_pattern: refused(SELF_HOSTED, FIXED_SPACES),
  modalities: refused(OPENAI, NO_AUDIO, ['text']),
  audio: refused(OPENAI, NO_AUDIO),
  media_response_type: refused(NIM1, NO_AUDIO, 'none'),
  image: refused(NIM1, 'send images in messages'),
  moderation: refused(OPENAI, 'there is no moderation model'),
  verbosity: refused(OPENAI, 'the model was not trained for it', 'medium'),
  reasoning_effort: refused(OPENAI | NIM2, NO_REASONING, 'none'),
  reasoning_budget: refused(HOSTED, NO_REASONING),
  thinking_token_budget: refused(NIM2, NO_REASONING),
  echo: refused(SELF_HOSTED, NO_TEMPLATE, false),
  add_generation_prompt: refused(NIM2, NO_TEMPLATE, true),
  continue_final_message: refused(NIM2, NO_TEMPLATE, false),
  add_special_tokens: refused(SELF_HOSTED, NO_TEMPLATE, false),
  documents: refused(SELF_HOSTED, NO_TEMPLATE, []),
  chat_template: refused(SELF_HOSTED, NO_TEMPLATE),
  chat_template_kwargs: refused(SELF_HOSTED | HOSTED, NO_TEMPLATE, {}, { enable_thinking: false }, { thinking: false }),
  truncate_prompt_tokens: refused(NIM2, NO_TEMPLATE),
  truncation_side: refused(NIM2, NO_TEMPLATE),
  media_io_kwargs: refused(NIM2, 'images are read as the model was trained', {}),
  mm_processor_kwargs: refused(NIM2, 'images are read as the model was trained', {}),
  best_of: refused(NIM2, NO_SAMPLER, 1),
  use_beam_search: refused(NIM2, NO_SAMPLER, false),
  length_penalty: refused(NIM2, NO_SAMPLER, 1),
  watermarking: refused(NIM2, NO_SAMPLER, false),
  logits_processors: refused(NIM2, NO_SAMPLER, []),
  repetition_detection: refused(NIM2, NO_SAMPLER),
  spaces_between_special_tokens: refused(NIM2, 'special tokens stand as the model wrote them', true),
  prompt_logprobs: refused(SELF_HOSTED, NO_REPORT),
  logprob_token_ids: refused(NIM2, NO_REPORT),
  return_tokens_as_token_ids: refused(NIM2, NO_REPORT, false),
  return_prompt_text: refused(NIM2, NO_REPORT, false),
  stream_interval: refused(NIM2, 'text is sent as it comes', 1),
  request_id: refused(NIM2, 'ids are made here'),
  priority: refused(NIM2, 'requests are answered in order', 0),
  cache_salt: refused(NIM2, 'the cache belongs to the page alone'),
  kv_transfer_params: refused(NIM2, NO_TRANSFER),
  ec_transfer_params: refused(NIM2, NO_TRANSFER),
  vllm_xargs: refused(NIM2, NO_TRANSFER, {}),
};
