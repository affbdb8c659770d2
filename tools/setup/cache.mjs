import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where browsers and drivers that this project fetched for itself are kept, for all its clones. */
export const cacheFolder = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'nearsight');
