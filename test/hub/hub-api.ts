import type { OutgoingHttpHeaders } from 'node:http';
import { createHash } from 'node:crypto';
import type { HubFile, HubRepository } from './repository.ts';

interface Answer {
  body: unknown;
  headers?: OutgoingHttpHeaders;
}

/** A page of `/api/models/org/name/tree/revision`, with a `Link` to the next one. */
export function treePage(files: ReadonlyMap<string, HubFile>, url: URL, pageSize: number): Answer {
  const recursive = ['true', '1'].includes(url.searchParams.get('recursive') ?? '');
  const entries = [...folders(files), ...[...files.values()].map(describe)]
    .filter(({ path }) => recursive || !path.includes('/'))
    .sort((one, other) => (one.path < other.path ? -1 : 1));
  const limit = Math.min(Number(url.searchParams.get('limit') ?? pageSize) || pageSize, pageSize);
  const cursor = url.searchParams.get('cursor');
  const start = cursor === null ? 0 : Number(Buffer.from(cursor, 'base64url').toString());
  const body = entries.slice(start, start + limit);
  if (start + limit >= entries.length) return { body };
  const next = new URL(url);
  next.searchParams.set('limit', String(limit));
  next.searchParams.set('cursor', Buffer.from(String(start + limit)).toString('base64url'));
  return { body, headers: { link: `<${next.href}>; rel="next"` } };
}

function describe({ path, oid, sha256, large, pointerSize, source: { size } }: HubFile) {
  const entry = { type: 'file', oid, size, path };
  return large ? { ...entry, lfs: { oid: sha256, size, pointerSize } } : entry;
}

function folders(files: ReadonlyMap<string, HubFile>) {
  const paths = [...files.keys()].flatMap((path) => {
    const parts = path.split('/');
    return parts.slice(1).map((_, at) => parts.slice(0, at + 1).join('/'));
  });
  const oid = (path: string) => createHash('sha1').update(path).digest('hex');
  return [...new Set(paths)].map((path) => ({ type: 'directory', oid: oid(path), size: 0, path }));
}

/** `/api/models/org/name/revision/revision`. */
export function modelInfo(found: {
  repository: HubRepository;
  commit: string;
  files: ReadonlyMap<string, HubFile>;
}): Answer {
  const { id, license } = found.repository;
  const body = {
    id,
    modelId: id,
    author: id.slice(0, id.indexOf('/')),
    sha: found.commit,
    private: false,
    gated: false,
    pipeline_tag: 'image-text-to-text',
    tags: ['transformers.js', 'onnx', ...(license === undefined ? [] : [`license:${license}`])],
    ...(license === undefined ? {} : { cardData: { license } }),
    siblings: [...found.files.keys()].map((rfilename) => ({ rfilename })),
  };
  return { body };
}
