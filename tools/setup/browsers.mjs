import { accessSync, constants, existsSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { cacheFolder } from './cache.mjs';
import { succeeds, tool } from './command.mjs';

/** @typedef {'chromium' | 'firefox'} BrowserName */

/** @type {readonly BrowserName[]} */
export const browserNames = ['chromium', 'firefox'];

const downloads = join(cacheFolder, 'browsers');

/**
 * Where a browser may be installed: commands on the path, and absolute paths; Debian's package; otherwise what to download
 * (as `@puppeteer/browsers` names it).
 */
const known = {
  chromium: {
    override: 'NEARSIGHT_CHROMIUM',
    commands: ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome', 'chrome', 'microsoft-edge'],
    paths: [
      '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
      '/Applications/Chromium.app/Contents/MacOS/Chromium',
      'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
      'C:\\Program Files (x86)\\Microsoft\\Edge\\Application\\msedge.exe',
    ],
    debianPackage: 'chromium',
    download: 'chrome@stable',
    executables: ['chrome', 'chrome.exe', 'Google Chrome for Testing'],
  },
  firefox: {
    override: 'NEARSIGHT_FIREFOX',
    commands: ['firefox', 'firefox-esr'],
    paths: ['/Applications/Firefox.app/Contents/MacOS/firefox', 'C:\\Program Files\\Mozilla Firefox\\firefox.exe'],
    debianPackage: 'firefox-esr',
    download: 'firefox@stable',
    executables: ['firefox', 'firefox.exe'],
  },
};

/** @param {string} file */
function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * The executable of a browser: the one that `NEARSIGHT_CHROMIUM` or `NEARSIGHT_FIREFOX` names, else an installed one, else
 * one that the setup downloaded.
 *
 * @param {BrowserName} name
 * @returns {string | undefined}
 */
export function findBrowser(name) {
  const { override, commands, paths, executables } = known[name];
  const chosen = process.env[override];
  if (chosen) {
    if (!isExecutable(chosen)) throw new Error(`${override} is ${chosen}, which is not an executable file.`);
    return chosen;
  }
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter(Boolean);
  const installed = commands.flatMap((command) => folders.map((folder) => join(folder, command)));
  const found = [...installed, ...paths].find(isExecutable);
  if (found || !existsSync(downloads)) return found;
  return readdirSync(downloads, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && executables.includes(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .find((file) => file.includes(`${known[name].download.split('@')[0]}`) && isExecutable(file));
}

/**
 * @param {BrowserName} name
 * @returns {import('./step.d.ts').Step | undefined}
 */
export function missingBrowser(name) {
  if (findBrowser(name)) return undefined;
  const { override, debianPackage, download } = known[name];
  const advice = `Install ${name === 'chromium' ? 'Chromium or Chrome' : 'Firefox'}, or set ${override} to its executable.`;
  if (process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')) {
    const quiet = { DEBIAN_FRONTEND: 'noninteractive' };
    return {
      announcement: `apt-get install ${debianPackage}: installs a browser for the tests system-wide (about 300 MB)`,
      advice,
      run: () =>
        succeeds('apt-get', ['update', '-q'], quiet) &&
        succeeds('apt-get', ['install', '-y', '-q', '--no-install-recommends', debianPackage], quiet),
    };
  }
  return {
    announcement: `downloads ${download} from its vendor into ${downloads} (about 400 MB)`,
    advice,
    run: () => tool('browsers', 'install', download, '--path', downloads),
  };
}
