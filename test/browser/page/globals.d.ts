/** The built package, as the test page imported it. */
declare const nearsight: typeof import('nearsight');
declare const OpenAI: typeof import('openai').default;
