import type { IncomingHttpHeaders, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { type FaultKind, find, type HubRequest } from './faults.ts';
import { type ByteSource, flipped, gzipped, resized } from './repository.ts';

interface Span {
  start: number;
  /** Exclusive. */
  end: number;
}

/** What is sent besides the bytes. */
export interface Sending {
  etag: string;
  headers: OutgoingHttpHeaders;
  request: HubRequest;
  faults: readonly FaultKind[];
}

/** Answers a request for bytes, or for a range of them, with all that goes wrong. */
export async function sendBytes(
  source: ByteSource,
  asked: IncomingHttpHeaders,
  reply: ServerResponse,
  sending: Sending,
): Promise<void> {
  const { faults, request } = sending;
  let spoiled = spoil(source, faults);
  let { size } = spoiled;
  const etag = find(faults, 'new-etag') ? `"${crypto.randomUUID()}"` : sending.etag;
  const fresh = asked['if-range'] === undefined || asked['if-range'] === etag;
  const span = fresh && !find(faults, 'ignore-range') ? spanOf(asked.range, size) : undefined;
  const headers: OutgoingHttpHeaders = { 'accept-ranges': 'bytes', ...sending.headers, etag };
  const type = find(faults, 'content-type');
  if (type) headers['content-type'] = type.type;
  if (span === 'unsatisfiable' || (asked.range !== undefined && find(faults, 'refuse-range'))) {
    request.status = 416;
    return void reply.writeHead(416, { ...headers, 'content-range': `bytes */${size}` }).end();
  }
  if (!span && find(faults, 'gzip')) {
    spoiled = await gzipped(spoiled);
    ({ size } = spoiled);
    headers['content-encoding'] = 'gzip';
  }
  const { start, end } = span ?? { start: 0, end: size };
  if (span) {
    const said = start + (find(faults, 'wrong-content-range')?.by ?? 0);
    headers['content-range'] = `bytes ${said}-${said + end - start - 1}/${size}`;
  }
  request.status = span ? 206 : 200;
  reply.writeHead(request.status, { ...headers, 'content-length': end - start });
  if (request.method === 'HEAD') return void reply.end();
  const shift = span ? (find(faults, 'shifted-range')?.by ?? 0) : 0;
  await write(
    shift === 0 ? spoiled : resized(spoiled, end + shift),
    { start: start + shift, end: end + shift },
    reply,
    sending,
  );
}

function spoil(source: ByteSource, faults: readonly FaultKind[]): ByteSource {
  let spoiled = source;
  for (const fault of faults) {
    if (fault.kind === 'flip-bit') spoiled = flipped(spoiled, fault.byte, fault.bit ?? 0);
    if (fault.kind === 'truncate') spoiled = resized(spoiled, fault.size);
    if (fault.kind === 'append') spoiled = resized(spoiled, spoiled.size + fault.bytes);
  }
  return spoiled;
}

/** A single range; several, and other units, are answered with the whole file. */
function spanOf(range: string | undefined, size: number): Span | 'unsatisfiable' | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(range ?? '');
  const [, first = '', last = ''] = match ?? [];
  if (!match || (first === '' && last === '')) return undefined;
  if (first === '')
    return Number(last) === 0 ? 'unsatisfiable' : { start: Math.max(0, size - Number(last)), end: size };
  const start = Number(first);
  const end = last === '' ? size : Math.min(Number(last) + 1, size);
  if (start >= size) return 'unsatisfiable';
  return end <= start ? undefined : { start, end };
}

async function write(source: ByteSource, span: Span, reply: ServerResponse, { faults, request }: Sending) {
  const drip = find(faults, 'drip');
  const cut = find(faults, 'cut');
  const stop = Math.min(cut?.after ?? Infinity, find(faults, 'stall')?.after ?? Infinity);
  reply.flushHeaders();
  for await (const chunk of source.read(span.start, Math.min(span.end, span.start + stop))) {
    const step = drip?.bytes ?? chunk.length;
    for (let at = 0; at < chunk.length; at += step) {
      if (drip) await delay(drip.every);
      const piece = chunk.subarray(at, at + step);
      if (reply.destroyed) return;
      request.bytes += piece.length;
      // The reader's pace: 190 MB are never held here.
      if (!reply.write(piece)) await drained(reply);
    }
  }
  if (stop === Infinity || span.end - span.start <= stop) return void reply.end();
  if (!cut || cut.after > stop) return;
  // The bytes before the cut leave first.
  await new Promise<void>((resolve) => reply.write('', () => resolve()));
  await delay(20);
  reply.destroy();
}

/** Resolves when more can be written, or never will. */
function drained(reply: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      reply.off('drain', done).off('close', done);
      resolve();
    };
    reply.on('drain', done).on('close', done);
    if (reply.destroyed) done();
  });
}
