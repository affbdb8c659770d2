import { transformersEngine } from '../../../worker/engines/transformers/transformers-engine.ts';
import { useFacade } from './use-facade.ts';
import { testEngine } from './engine-cases.ts';

useFacade();
testEngine(transformersEngine);
