import type { Check, Harmless, Honoured, Refused } from './field-checks.ts';

/** Who documents a field. */
export const Dialect = { openai: 1, nim1: 2, nim2: 4, hosted: 8 } as const;

/** A row of a table of fields. */
export const honoured = <T>(documentedBy: number, read: Check<T>): Honoured<T> => ({
  support: 'honoured',
  documentedBy,
  read,
});

/** A row of a table of fields. */
export const harmless = (documentedBy: number): Harmless => ({ support: 'harmless', documentedBy });

/** A row of a table of fields. */
export const refused = (documentedBy: number, why: string, ...noopValues: unknown[]): Refused => ({
  support: 'refused',
  documentedBy,
  why,
  noopValues,
});
