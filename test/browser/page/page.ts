// What the tests reach from `page.evaluate`: the built package, by its name, and the client that people use with it.
import * as nearsight from 'nearsight';
import { glimpse } from 'nearsight/glimpse';
import OpenAI from 'openai';

/** The AI SDK and LangChain, loaded when a test asks for them. */
const loadClients = (): Promise<typeof import('./clients.ts')> => import('./clients.ts');

/** React and Vue, likewise. */
const loadFrameworks = (): Promise<typeof import('./frameworks.ts')> => import('./frameworks.ts');

Object.assign(globalThis, { nearsight, glimpse, OpenAI, loadClients, loadFrameworks });
