// The globals of `page.evaluate`: the built package, imported by its name, and the openai client.
import * as nearsight from 'nearsight';
import { glimpse } from 'nearsight/glimpse';
import { storage } from 'nearsight/storage';
import OpenAI from 'openai';
import corner from '../../fixtures/glimpse/corner.gif?inline';
import progressive from '../../fixtures/glimpse/progressive.jpg?inline';
import { longest, longestAtBest } from './longest-task.ts';
import { cases } from '../../fixtures/glimpse/golden.json';

/** The AI SDK and LangChain, loaded when a test asks for them. */
const loadClients = (): Promise<typeof import('./clients.ts')> => import('./clients.ts');

/** The same clients with schemas. */
const loadStructured = (): Promise<typeof import('./structured.ts')> => import('./structured.ts');
/** As {@link loadClients}, with tools. */
const loadToolClients = (): Promise<typeof import('./tool-clients.ts')> => import('./tool-clients.ts');

/** React and Vue, loaded when a test asks for them. */
const loadFrameworks = (): Promise<typeof import('./frameworks.ts')> => import('./frameworks.ts');

/** A case of the golden file that asks one question about one image. */
function goldenOf(name: string, image: string): GoldenCase {
  const { messages, answer } = cases.find((golden) => golden.name === name)!;
  const parts = messages.flatMap(({ content }) => (typeof content === 'string' ? [] : content));
  return { image, question: parts.find(({ text }) => text !== undefined)!.text!, answer: answer.text };
}

const goldens = {
  imageFirst: goldenOf('corner', corner),
  textFirst: goldenOf('text-first', progressive),
} satisfies Goldens;

Object.assign(globalThis, {
  nearsight,
  glimpse,
  storage,
  OpenAI,
  loadClients,
  loadStructured,
  loadToolClients,
  loadFrameworks,
  longest,
  longestAtBest,
  goldens,
});
