import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const introduction = `nearsight is licensed under Apache-2.0, whose text follows, and then those of the packages that its files contain. The model
glimpse has its terms in glimpse/README.md, beside its files.
`;

/** Licences of packages that come without the text, each for one version: a new one is looked at again. */
const kept = 'tools/build/licences';

/** The packages whose code or files are in the built package, and their licences. */
export class Notices {
  /** @type {Set<string>} */
  #packages = new Set();

  /**
   * Sees what is in a bundle: modules, and files that are copied.
   *
   * @returns {import('rolldown').Plugin}
   */
  plugin() {
    return {
      name: 'notices',
      generateBundle: (_options, bundle) => {
        for (const output of Object.values(bundle)) {
          const files = output.type === 'chunk' ? output.moduleIds : output.originalFileNames;
          for (const file of files) {
            const [, name] = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file.replaceAll('\\', '/')) ?? [];
            if (name) this.#packages.add(name);
          }
        }
      },
    };
  }

  /**
   * @param {string} file
   * @throws if a package has no licence's text
   */
  write(file) {
    const own = `${introduction}\n${readFileSync('LICENSE', 'utf8')}`;
    writeFileSync(file, [own, ...[...this.#packages].toSorted().map(notice)].join(`\n${'='.repeat(80)}\n\n`));
  }
}

/** @param {string} name of a package */
function notice(name) {
  const folder = join('node_modules', name);
  const { version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  return `${name} ${version} (${license})\n\n${licenceOf(name, version, folder).trim()}\n`;
}

/**
 * @param {string} name
 * @param {string} version
 * @param {string} folder
 */
function licenceOf(name, version, folder) {
  const own = readdirSync(folder).filter((file) => /^(licen[cs]e|copying|notice)/i.test(file));
  if (own.length > 0) return own.map((file) => readFileSync(join(folder, file), 'utf8')).join('\n');
  const file = join(kept, `${name.replace('/', '+')}@${version}.txt`);
  if (existsSync(file)) return readFileSync(file, 'utf8');
  throw new Error(`${name} ${version} comes without its licence: put the text that its repository has at ${file}`);
}
