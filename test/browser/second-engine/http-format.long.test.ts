// @module-tag long
import { useTransformers } from '../harness/engine.ts';

useTransformers();
await import('../http-format.test.ts');
