import { useTransformers } from '../harness/engine.ts';

useTransformers();
await import('../golden.test.ts');
