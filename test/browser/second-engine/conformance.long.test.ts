// @module-tag nightly-in-firefox
// @module-tag long
import { onSecondEngine } from '../harness/engine.ts';

await onSecondEngine('conformance');
