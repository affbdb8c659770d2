import { readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { parse } from './sources.mjs';

/** @returns {string[]} the modules whose exports are the public API: those that package.json's `exports` are built from */
function entryPoints() {
  /** @type {{ exports: Record<string, string | { types: string }> }} */
  const { exports } = JSON.parse(readFileSync('package.json', 'utf8'));
  return Object.values(exports).flatMap((entry) => {
    const source = typeof entry === 'string' ? undefined : /^\.\/dist\/(.+)\.d\.ts$/.exec(entry.types)?.[1];
    return source ? [`${source}.ts`] : [];
  });
}

/** @param {string} path */
function read(path) {
  const text = readFileSync(path, 'utf8');
  const { module, program, comments } = parse({ path, text });
  /** Where a docstring stands directly before, blanks apart. */
  const documented = comments
    .filter(({ type, value }) => type === 'Block' && value.startsWith('*'))
    .map(({ end }) => end + (/^\s*/.exec(text.slice(end))?.[0].length ?? 0));
  return { module, program, documented: new Set(documented) };
}

/**
 * The declaration of a name in a module, as a statement of it.
 *
 * @param {import('vite').ESTree.Program} program
 * @param {string} name
 */
function declarationOf(program, name) {
  for (const statement of program.body) {
    const declared = statement.type === 'ExportNamedDeclaration' ? statement.declaration : statement;
    if (!declared) continue;
    const names =
      declared.type === 'VariableDeclaration'
        ? declared.declarations.map(({ id }) => id)
        : 'id' in declared
          ? [declared.id]
          : [];
    if (names.some((id) => id?.type === 'Identifier' && id.name === name)) return { statement, declared };
  }
  return undefined;
}

/**
 * A public name needs a docstring; so does every optional property of public options: it has a default to tell.
 *
 * @param {string} path
 * @param {string} name
 * @returns {string[]} what lacks one
 */
function undocumented(path, name) {
  const { program, documented } = read(path);
  const found = declarationOf(program, name);
  if (!found) return [`${path}: no declaration of the public name ${name}`];
  const { statement, declared } = found;
  const itself = documented.has(statement.start) ? [] : [`${path}: ${name} is public and has no docstring`];
  if (declared.type !== 'TSInterfaceDeclaration' || !name.endsWith('Options')) return itself;
  const members = declared.body.body
    .filter((member) => member.type === 'TSPropertySignature' && member.optional && !documented.has(member.start))
    .map((member) => ('key' in member && member.key.type === 'Identifier' ? member.key.name : 'a property'));
  return [
    ...itself,
    ...members.map((member) => `${path}: ${name}.${member} is optional and no docstring tells its default`),
  ];
}

/**
 * @param {string} path
 * @returns {string[]} what a module exports without a docstring, followed through its re-exports
 */
function undocumentedIn(path) {
  const exported = read(path).module.staticExports.flatMap(({ entries }) => entries);
  return exported.flatMap(({ exportName, importName, moduleRequest }) => {
    const from = moduleRequest ? posix.join(posix.dirname(path), moduleRequest.value) : path;
    if (moduleRequest && importName.kind !== 'Name') return undocumentedIn(from);
    return undocumented(from, (moduleRequest ? importName.name : exportName.name) ?? 'default');
  });
}

/** @returns {string[]} */
export function missingDocstrings() {
  return entryPoints().flatMap(undocumentedIn);
}
