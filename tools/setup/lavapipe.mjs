/**
 * Mesa's lavapipe: Vulkan on the CPU, for WebGPU without a GPU in Firefox and in Node (Dawn). It needs Mesa 25: with 22.3,
 * which Debian 12 has, Dawn finds no adapter. Chromium has its own software adapter (SwiftShader).
 *
 * Debian's packages are unpacked into our cache folder, not installed, so the machine's drivers do not change.
 */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { cacheFolder } from './cache.mjs';
import { outputOf, succeeds } from './command.mjs';

const root = join(cacheFolder, 'lavapipe');

/** The keys of Debian's archive, from a package that apt depends on. */
const debianKeys = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** The Vulkan version of Mesa 25's lavapipe. */
const vulkanNeeded = 1.4;

/**
 * The driver's manifest under `base`, if the driver is new enough.
 *
 * @param {string} base
 * @returns {string | undefined}
 */
function manifestIn(base) {
  const folder = join(base, 'usr/share/vulkan/icd.d');
  if (!existsSync(folder)) return undefined;
  const names = readdirSync(folder).filter((name) => name.startsWith('lvp_icd'));
  return names
    .map((name) => join(folder, name))
    .find((file) => Number.parseFloat(JSON.parse(readFileSync(file, 'utf8')).ICD.api_version) >= vulkanNeeded);
}

/**
 * Environment variables with which a program finds lavapipe and no other Vulkan driver. Empty if it is not installed, and
 * on other systems than Linux, where browsers use the platform's graphics.
 *
 * @returns {Record<string, string>}
 */
export function lavapipeEnvironment() {
  const system = manifestIn('/');
  if (system) return { VK_ICD_FILENAMES: system };
  const own = manifestIn(root);
  if (!own) return {};
  const libraries = join(root, 'usr/lib');
  const folder = readdirSync(libraries).find((name) => existsSync(join(libraries, name, 'libvulkan_lvp.so'))) ?? '';
  const already = process.env['LD_LIBRARY_PATH'];
  const folders = [join(libraries, folder), ...(already ? [already] : [])];
  return { VK_ICD_FILENAMES: own, LD_LIBRARY_PATH: folders.join(delimiter) };
}

/**
 * The machine's apt source plus backports, with the same mirror and key.
 *
 * @param {string} codename
 * @returns {string} in deb822 format
 */
function sourcesWithBackports(codename) {
  const targets = outputOf('apt-get', ['indextargets', '--format', '$(RELEASE) $(REPO_URI)', 'Created-By: Packages']);
  const uri = targets
    .split('\n')
    .map((row) => row.split(' '))
    .find(([release]) => release === codename)?.[1];
  if (!uri) throw new Error(`No apt source of this machine has the suite ${codename}.`);
  const suites = `${codename} ${codename}-backports`;
  return `Types: deb\nURIs: ${uri}\nSuites: ${suites}\nComponents: main\nSigned-By: ${debianKeys}\n`;
}

/**
 * Downloads the driver and its missing dependencies, and unpacks them into `root`. All paths that apt writes to are
 * redirected, so this needs no privileges and changes nothing outside the cache folder.
 *
 * @param {string} codename
 */
function unpackFromDebian(codename) {
  mkdirSync(cacheFolder, { recursive: true });
  const work = mkdtempSync(join(cacheFolder, 'lavapipe-'));
  try {
    const archives = join(work, 'cache/archives');
    const unpacked = join(work, 'root');
    for (const folder of [join(work, 'lists/partial'), join(archives, 'partial'), unpacked]) {
      mkdirSync(folder, { recursive: true });
    }
    const sources = join(work, 'debian.sources');
    writeFileSync(sources, sourcesWithBackports(codename));
    const settings = {
      'Dir::Etc::SourceList': sources,
      'Dir::Etc::SourceParts': '-',
      'Dir::State::Lists': join(work, 'lists'),
      'Dir::Cache': join(work, 'cache'),
      'APT::Sandbox::User': '',
      'Debug::NoLocking': '1',
    };
    const options = ['-q', ...Object.entries(settings).map(([name, value]) => `-o${name}=${value}`)];
    const install = ['install', '-y', '--download-only', '--no-install-recommends', '-t', `${codename}-backports`];
    const fetched =
      succeeds('apt-get', [...options, 'update']) &&
      succeeds('apt-get', [...options, ...install, 'mesa-vulkan-drivers', 'libvulkan1']);
    if (!fetched) return false;
    const packages = readdirSync(archives).filter((name) => name.endsWith('.deb'));
    if (!packages.every((name) => succeeds('dpkg', ['-x', join(archives, name), unpacked]))) return false;
    rmSync(root, { recursive: true, force: true });
    renameSync(unpacked, root);
    return manifestIn(root) !== undefined;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** @returns {import('./step.d.ts').Step | undefined} */
export function missingLavapipe() {
  if (process.platform !== 'linux' || 'VK_ICD_FILENAMES' in lavapipeEnvironment()) return undefined;
  const advice = 'Install Mesa 25 or later with its software Vulkan driver (lavapipe, `lvp_icd.json`).';
  const system = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  const codename = /^VERSION_CODENAME=(\w+)$/m.exec(system)?.[1];
  if (!codename || !/^ID=debian$/m.test(system)) {
    return {
      announcement: 'a software Vulkan driver is missing, and it can be installed automatically on Debian only',
      advice,
      run: () => false,
    };
  }
  return {
    announcement: `unpacks Debian's Mesa (${codename}-backports, about 110 MB) into ${dirname(root)}, for WebGPU without a GPU`,
    advice,
    run: () => unpackFromDebian(codename),
  };
}
