import { homedir } from 'node:os';
import { join } from 'node:path';

/** The folder for downloaded browsers and drivers, shared by all clones of this repository. */
export const cacheFolder = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'nearsight');
