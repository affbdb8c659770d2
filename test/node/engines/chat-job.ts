import { GREEDY, type ChatJob } from '../../../src/protocol/job.ts';

/** A question in text, with one greedy answer of 12 tokens at most. */
export function chatJob(changes: Partial<ChatJob> = {}): ChatJob {
  return {
    turns: [{ role: 'user', parts: [{ type: 'text', text: 'What is this?' }] }],
    maxTokens: 12,
    stop: [],
    sampling: GREEDY,
    choices: 1,
    cache: true,
    limits: { pixels: 1e7 },
    ...changes,
  };
}
