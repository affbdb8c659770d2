/**
 * Generates docs/library.md from the declarations of what a page uses: members from the interfaces, prose from the comment
 * above each, so that the page cannot differ from what editors show.
 */
import { readFileSync } from 'node:fs';

/** What pages name, and where it is declared, in the order of the page. */
const INTERFACES: readonly (readonly [name: string, file: string])[] = [
  ['Nearsight', 'src/client/create-nearsight.ts'],
  ['NearsightOptions', 'src/client/options.ts'],
  ['FetchOptions', 'src/fetch/fetch-options.ts'],
  ['ImageOptions', 'src/fetch/fetch-options.ts'],
  ['Limits', 'src/client/options.ts'],
  ['AssetOptions', 'src/client/options.ts'],
  ['RemoteOptions', 'src/remote/remote-options.ts'],
  ['LoadOptions', 'src/client/options.ts'],
  ['AskOptions', 'src/client/options.ts'],
  ['Verdict', 'src/protocol/calls.ts'],
  ['ModelFacts', 'src/protocol/calls.ts'],
  ['ModelSpec', 'src/protocol/model-spec.ts'],
  ['HubModel', 'src/protocol/model-spec.ts'],
  ['Storage', 'src/storage/storage.ts'],
  ['ImportOptions', 'src/storage/import-model.ts'],
  ['StoredModel', 'src/protocol/stored-model.ts'],
];

const INTRODUCTION = `<!-- Generated from the declarations: run \`npx vitest run --project node test/node/docs/library-doc -u\`. -->

# The library

What \`import { createNearsight } from 'nearsight'\` and \`import { storage } from 'nearsight/storage'\` give. \`createNearsight\` takes
\`NearsightOptions\`, those of \`FetchOptions\` included, and returns a \`Nearsight\`. Requests, their fields and the errors are in
[api.md](api.md), policies and remotes in [remote.md](remote.md), models and their storage in [models.md](models.md).
`;

/** A member up to the end of its declaration, with the comment above it, if there is one. */
const MEMBER = /^ {2}(?:\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*)?((?:readonly )?\w+\??[(:][\s\S]*?);$/gm;

/** The whole page, as Markdown. */
export function libraryPage(): string {
  return `${INTRODUCTION}\n${INTERFACES.map(([name, file]) => section(name, readFileSync(file, 'utf8'))).join('\n')}`;
}

function section(name: string, source: string): string {
  const start = source.search(new RegExp(`^export interface ${name} `, 'm'));
  if (start < 0) throw new Error(`There is no interface ${name}.`);
  const body = source.slice(start, source.indexOf('\n}\n', start) + 1);
  const members = [...body.matchAll(MEMBER)].map(([, comment = '', code = '']) => member(comment, code));
  const about = proseOf(source.slice(0, start).match(/\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*$/)?.[1] ?? '');
  return `## ${name}\n\n${about}\n\n${members.join('\n')}\n`;
}

function member(comment: string, code: string): string {
  const declaration = code
    .replaceAll(/\s+/g, ' ')
    .replace(/^readonly /, '')
    .replaceAll(' | undefined', '');
  return comment === '' ? `- \`${declaration}\`` : `- \`${declaration}\`: ${proseOf(comment)}`;
}

/** The comment as one paragraph, with its tags in words. */
function proseOf(comment: string): string {
  const lines = comment
    .replaceAll(/^\s*\*? ?/gm, '')
    .replaceAll(/\{@link ([^}]+)\}/g, '`$1`')
    .replaceAll('@defaultValue', '\u0000Default:')
    .replaceAll('@throws', '\u0000Throws:')
    .replaceAll('@returns', '\u0000Returns:')
    .replaceAll(/@param (\S+)/g, '\u0000`$1`:');
  const parts = lines.split('\u0000').map((part) => part.replaceAll(/\s+/g, ' ').trim());
  return parts.map((part) => (/[.!?]$/.test(part) ? part : `${part}.`)).join(' ');
}
