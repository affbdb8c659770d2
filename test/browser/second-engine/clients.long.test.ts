// @module-tag long
import { useTransformers } from '../harness/engine.ts';

useTransformers();
await import('../clients.test.ts');
