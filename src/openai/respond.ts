import type { Part } from '../protocol/job.ts';
import type { PartReader } from '../protocol/port.ts';
import { streamChunks } from './completion-stream.ts';
import { endedEarly, readCompletion } from './completion.ts';
import { originHeaders, randomId } from './response-headers.ts';
import type { ChatRequest } from './parse-request.ts';

export interface Answerer {
  /** The model that answers, by its own name; the body repeats the requested one. */
  model: string;
  /** For `x-nearsight-reason`. */
  reason: string;
  /** The caller's. `parts` must error with its reason when it aborts. */
  signal?: AbortSignal | undefined;
}

/**
 * The Response to a request, from the parts of its answer.
 *
 * A streamed Response resolves at the first text or finish, so that every failure before it can still be a status; a JSON
 * body is complete before its Response is made.
 *
 * @throws whatever errors `parts` before that: the caller makes a Response of it, or tries elsewhere
 */
export async function respond(request: ChatRequest, parts: PartReader<Part>, answerer: Answerer): Promise<Response> {
  const requestId = randomId();
  const meta = { id: `chatcmpl-${requestId}`, created: Math.floor(Date.now() / 1000), model: request.model };
  const headers = originHeaders(answerer.reason, answerer.model, requestId);
  if (!request.stream) {
    return Response.json(await readCompletion(parts, request, meta), { statusText: 'OK', headers });
  }
  const head = await readHead(parts);
  return new Response(streamChunks(head, parts, request, meta, answerer.signal), {
    statusText: 'OK',
    headers: { ...headers, 'content-type': 'text/event-stream', 'cache-control': 'no-store' },
  });
}

/** The parts up to the first text or finish. */
async function readHead(parts: PartReader<Part>): Promise<Part[]> {
  const head: Part[] = [];
  for (;;) {
    const { done, value } = await parts.read();
    if (done) throw endedEarly();
    head.push(value);
    if (value.type === 'text' || value.type === 'finish') return head;
  }
}
