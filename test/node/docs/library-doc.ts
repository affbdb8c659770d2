/**
 * Generates docs/library.md from the declarations of what a page uses: members from the interfaces, prose from the comment
 * above each, so that the page cannot differ from what editors show.
 */
import { readFileSync } from 'node:fs';

/** The types that pages name, and where they are declared, in the order of the page. */
const TYPES: readonly (readonly [name: string, file: string])[] = [
  ['Nearsight', 'src/client/create-nearsight.ts'],
  ['NearsightOptions', 'src/client/options.ts'],
  ['FetchOptions', 'src/fetch/fetch-options.ts'],
  ['ChoosePolicy', 'src/fetch/fetch-options.ts'],
  ['RouteFacts', 'src/fetch/fetch-options.ts'],
  ['ImageOptions', 'src/fetch/fetch-options.ts'],
  ['Limits', 'src/client/options.ts'],
  ['AssetOptions', 'src/client/options.ts'],
  ['RemoteOptions', 'src/remote/remote-options.ts'],
  ['ConsentRequest', 'src/remote/remote-options.ts'],
  ['LoadOptions', 'src/client/options.ts'],
  ['AskOptions', 'src/client/options.ts'],
  ['Status', 'src/host/status.ts'],
  ['StatusValue', 'src/host/status.ts'],
  ['LoadState', 'src/protocol/calls.ts'],
  ['Verdict', 'src/protocol/calls.ts'],
  ['ModelFacts', 'src/protocol/calls.ts'],
  ['StorageFacts', 'src/protocol/calls.ts'],
  ['DebugStats', 'src/protocol/calls.ts'],
  ['ModelSpec', 'src/protocol/model-spec.ts'],
  ['ModelFile', 'src/protocol/model-spec.ts'],
  ['ModelVariant', 'src/protocol/model-spec.ts'],
  ['ModelGraph', 'src/protocol/model-spec.ts'],
  ['ModelLicence', 'src/protocol/model-spec.ts'],
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
const MEMBER =
  /^ {2}(?:\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*)?((?:readonly )?\w+\??[(:][\s\S]*?);(?=\n {2}[^\s}]|\n\n|\n(?![\s\S]))/gm;

/** A member of a union up to the next, with the comment above it, if there is one. */
const ALTERNATIVE = /^ {2}(?:\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*)?\| ([\s\S]*?)(?=\n {2}[/|]|$(?![\s\S]))/gm;

/** The whole page, as Markdown. */
export function libraryPage(): string {
  return `${INTRODUCTION}\n${TYPES.map(([name, file]) => section(name, readFileSync(file, 'utf8'))).join('\n')}`;
}

function section(name: string, source: string): string {
  const start = source.search(new RegExp(`^export (interface|type) ${name} `, 'm'));
  if (start < 0) throw new Error(`There is no type ${name}.`);
  const members = membersOf(source.slice(start)).map(([, comment = '', code = '']) => member(comment, code));
  const about = proseOf(source.slice(0, start).match(/\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*$/)?.[1] ?? '');
  return `## ${name}\n\n${about}\n\n${members.join('\n')}\n`;
}

/** Members of an interface or of a union; of another type, the type itself. */
function membersOf(source: string): string[][] {
  if (source.startsWith('export interface')) return [...source.slice(0, source.indexOf('\n}\n') + 1).matchAll(MEMBER)];
  const body = source.slice(source.indexOf('=') + 1, source.indexOf(';\n\n'));
  const alternatives = [...body.matchAll(ALTERNATIVE)];
  return alternatives.length > 0 ? alternatives : [['', '', body.trim()]];
}

function member(comment: string, code: string): string {
  const declaration = code
    .replaceAll(/\/\*\*.*?\*\//g, '')
    .replaceAll(/\s+/g, ' ')
    .replace(/^readonly /, '')
    .replace('this: void, ', '')
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
