// A module of its own, because tools list what can run without loading what runs it.

/** Whose images and prompts nearsight prepares itself: `families/other-families.ts`, which is in the chunk. */
export const PREPARED_BY_US = ['qwen2_vl', 'qwen2_5_vl', 'qwen3_vl', 'qwen3_5', 'gemma3', 'lfm2_vl', 'llava_qwen2'];

/** Those that transformers.js prepares. */
export const PREPARED_BY_IT = ['llava', 'mistral3', 'lighton_ocr', 'glm_ocr'];
