import { anything, oneOf, string } from './field-checks.ts';
import { Dialect, harmless, honoured, refused } from './field-rows.ts';
import { detail } from './field-values.ts';

/** The parts of a message's content. As in fields.ts, the comments above the rows are their documentation. */

const { openai: OPENAI, nim1: NIM1, nim2: NIM2, hosted: HOSTED } = Dialect;
const ALL = OPENAI | NIM1 | NIM2 | HOSTED;

/** Why fields about reasoning are refused. */
export const NO_REASONING = 'the model does not reason before it answers';

/** `messages[].content[]` with text: `text`, `input_text`, `output_text`, or no type; or a plain string. */
export const TEXT_PART = {
  /** May be left out. */
  type: honoured(ALL, oneOf('text', 'input_text', 'output_text')),
  /** The text. Required. */
  text: honoured(ALL, string),
  /** Where the prompt cache may be cut. Not needed: the prefix cache finds common prefixes itself. */
  prompt_cache_breakpoint: harmless(OPENAI),
};

/** `messages[].content[]` with a refusal, as an assistant's earlier answer may hold. */
export const REFUSAL_PART = {
  /** May be left out. */
  type: honoured(OPENAI | NIM2, oneOf('refusal')),
  /** Read as text. Required. */
  refusal: honoured(OPENAI | NIM2, string),
};

/** `messages[].content[]` with an image: `image_url`, `input_image`, or no type. Only in a user's message. */
export const IMAGE_PART = {
  /** May be left out. */
  type: honoured(ALL, oneOf('image_url', 'input_image')),
  /** An object as below, or the URL itself as a string. Required. */
  image_url: honoured(ALL, anything),
  /** As `image_url.detail`, beside an `image_url` that is a string. */
  detail: honoured(NIM2, detail),
  /** A key for the server's image cache. Not needed: the image cache compares pixels. */
  uuid: harmless(NIM2),
  /** Where the prompt cache may be cut. Not needed: the prefix cache finds common prefixes itself. */
  prompt_cache_breakpoint: harmless(OPENAI),
};

/** `messages[].content[].image_url`. */
export const IMAGE_URL = {
  /** `data:` (base64 or url-encoded), `blob:`, or `http(s):` where the server allows the page to read it (CORS). Required. */
  url: honoured(ALL, string),
  /** `low`: the whole image. `high`: tiles and the whole image. `auto`: by the image's size. Default: `auto`. */
  detail: honoured(ALL, detail),
};

/** Parts that are documented and cannot be read. */
export const REFUSED_PARTS = {
  image: refused(NIM1, 'send images as image_url'),
  image_embeds: refused(NIM2, 'send images as image_url'),
  video: refused(NIM1, 'the model does not see video'),
  video_url: refused(NIM2 | HOSTED, 'the model does not see video'),
  rtsp: refused(NIM1, 'the model does not see video'),
  audio_url: refused(NIM2 | HOSTED, 'the model does not hear'),
  input_audio: refused(OPENAI | NIM2, 'the model does not hear'),
  file: refused(OPENAI, 'the model does not read files'),
  thinking: refused(NIM2, NO_REASONING),
};
