/**
 * The sampling parameters of all sides. transformers.js 4.3.1 ignores `top_p`, and samples from the 50 likeliest tokens,
 * its default.
 */
export const SAMPLING = { temperature: 0.8, top_p: 0.9, repetition_penalty: 1.1 };
