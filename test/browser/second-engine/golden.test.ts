// @module-tag nightly-in-chromium
import { onSecondEngine } from '../harness/engine.ts';

await onSecondEngine('golden');
