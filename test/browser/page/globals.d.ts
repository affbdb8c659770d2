/** The built package, as the test page imported it. */
declare const nearsight: typeof import('nearsight');
declare const glimpse: typeof import('nearsight/glimpse').glimpse;
declare const storage: typeof import('nearsight/storage').storage;
declare const OpenAI: typeof import('openai').default;
/** The AI SDK and LangChain. */
declare function loadClients(): Promise<typeof import('./clients.ts')>;
declare function loadStructured(): Promise<typeof import('./structured.ts')>;
/** Their loops that call tools. */
declare function loadToolClients(): Promise<typeof import('./tool-clients.ts')>;
declare function loadFrameworks(): Promise<typeof import('./frameworks.ts')>;
declare const longest: typeof import('./longest-task.ts').longest;
declare const longestAtBest: typeof import('./longest-task.ts').longestAtBest;

/** A question about an image, and glimpse's answer from the Python reference. */
interface GoldenCase {
  /** A `data:` URL. */
  image: string;
  question: string;
  answer: string;
}
interface Goldens {
  imageFirst: GoldenCase;
  textFirst: GoldenCase;
}
declare const goldens: Goldens;
