import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';

/** The files of one commit by their paths: bytes, or the path of a file on the disk, which is streamed from there. */
export type RevisionFiles = Readonly<Record<string, Uint8Array | string>>;

/** A repository of models, as a test describes it. Branches may be moved while the server runs. */
export interface HubRepository {
  /** `org/name`. */
  id: string;
  /** By commit, 40 hexadecimal digits. */
  revisions: Readonly<Record<string, RevisionFiles>>;
  /** Commits of branches and tags, by name. */
  branches: Record<string, string>;
  /** `license` in the model card: `apache-2.0`. */
  license?: string;
  /** Answers 401 to everybody, as a repository does whose terms must be accepted first. */
  gated?: boolean;
  /** Which files are large ones. @defaultValue graphs, their data, and files of 10 MB and more, as git on the hub has it */
  isLarge?: (path: string, bytes: number) => boolean;
}

/** Bytes that can be read in parts, again and again. */
export interface ByteSource {
  readonly size: number;
  /** @param end exclusive */
  read(start: number, end: number): AsyncIterable<Uint8Array>;
}

export interface HubFile {
  path: string;
  source: ByteSource;
  sha256: string;
  /** SHA-1 of git's blob: the file's, or for a large file that of the pointer to it. */
  oid: string;
  large: boolean;
  /** Bytes of the pointer that git holds in place of a large file. */
  pointerSize: number;
}

/** Files of each repository and commit, hashed: `org/name` → commit → path. */
export type Index = ReadonlyMap<string, ReadonlyMap<string, ReadonlyMap<string, HubFile>>>;

const isLarge = (path: string, bytes: number): boolean =>
  /\.(onnx|onnx_data(_\d+)?|safetensors|bin)$/.test(path) || bytes >= 10_000_000;

/** Reads and hashes every file once. */
export async function indexRepositories(repositories: readonly HubRepository[]): Promise<Index> {
  const index = new Map<string, Map<string, Map<string, HubFile>>>();
  for (const repository of repositories) {
    const commits = new Map<string, Map<string, HubFile>>();
    index.set(repository.id, commits);
    for (const [commit, files] of Object.entries(repository.revisions)) {
      const described = Object.entries(files).map(([path, content]) => describeFile(repository, path, content));
      commits.set(commit, new Map((await Promise.all(described)).map((file) => [file.path, file])));
    }
  }
  return index;
}

async function describeFile(repository: HubRepository, path: string, content: Uint8Array | string): Promise<HubFile> {
  const source = typeof content === 'string' ? await fileSource(content) : memorySource(content);
  const large = (repository.isLarge ?? isLarge)(path, source.size);
  const sha256 = createHash('sha256');
  const sha1 = createHash('sha1').update(`blob ${source.size}\0`);
  for await (const chunk of source.read(0, source.size)) {
    sha256.update(chunk);
    sha1.update(chunk);
  }
  const digest = sha256.digest('hex');
  const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${digest}\nsize ${source.size}\n`;
  const pointed = createHash('sha1').update(`blob ${pointer.length}\0${pointer}`);
  const oid = (large ? pointed : sha1).digest('hex');
  return { path, source, sha256: digest, oid, large, pointerSize: pointer.length };
}

const CHUNK = 64 * 1024;

function memorySource(bytes: Uint8Array): ByteSource {
  return {
    size: bytes.length,
    async *read(start, end) {
      for (let at = start; at < end; at += CHUNK) yield bytes.subarray(at, Math.min(at + CHUNK, end));
    },
  };
}

async function fileSource(file: string): Promise<ByteSource> {
  const { size } = await stat(file);
  return {
    size,
    async *read(start, end) {
      if (start < end)
        yield* createReadStream(file, { start, end: end - 1, highWaterMark: 2 ** 20 }) as AsyncIterable<Uint8Array>;
    },
  };
}

/** The same bytes, except that the file ends before, or goes on after, its true end. */
export function resized(source: ByteSource, size: number): ByteSource {
  return {
    size,
    async *read(start, end) {
      yield* source.read(start, Math.min(end, source.size));
      const more = end - Math.max(start, source.size);
      if (more > 0) yield new Uint8Array(more);
    },
  };
}

/** The whole file, compressed. */
export async function gzipped(source: ByteSource): Promise<ByteSource> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source.read(0, source.size)) chunks.push(chunk);
  return memorySource(gzipSync(Buffer.concat(chunks)));
}

/** The same bytes with one bit flipped. */
export function flipped(source: ByteSource, byte: number, bit: number): ByteSource {
  return {
    size: source.size,
    async *read(start, end) {
      let at = start;
      for await (const chunk of source.read(start, end)) {
        const inside = byte - at;
        at += chunk.length;
        if (inside < 0 || inside >= chunk.length) yield chunk;
        else yield Uint8Array.from(chunk, (value, index) => (index === inside ? value ^ (1 << bit) : value));
      }
    },
  };
}
