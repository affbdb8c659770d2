// @module-tag nightly-in-chromium
// @module-tag long
import { onSecondEngine } from '../harness/engine.ts';

await onSecondEngine('gpu-failures');
