/** A schema to start from, with a question that it fits. */
export interface ReadySchema {
  name: string;
  question: string;
  schema: object;
}

const text = { type: 'string', maxLength: 40 };
/** With two digits after the point, which a number need not have. */
const amount = { type: 'string', pattern: '^\\d{1,4}\\.\\d{2}$' };

/** Those that the toy can answer as well come first. A list of words is enforced as `guided_choice`. */
export const readySchemas: readonly ReadySchema[] = [
  { name: 'Yes or no', question: 'Is this an animal?', schema: { enum: ['yes', 'no'] } },
  {
    name: 'Count',
    question: 'How many things are there?',
    schema: { enum: ['one', 'two', 'three', 'four', 'five'] },
  },
  {
    name: 'One of a list',
    question: 'What is this?',
    schema: { enum: ['dog', 'cat', 'apple', 'tree', 'sun', 'star', 'sailboat', 'car', 'house', 'banana'] },
  },
  {
    name: 'Facts',
    question: 'Describe the image.',
    schema: objectOf({ thing: text, group: text, background: text, count: { type: 'integer', minimum: 0 } }),
  },
  {
    name: 'Tags',
    question: 'List what is in the image.',
    schema: objectOf({
      tags: { type: 'array', items: { type: 'string', pattern: '^[a-z][a-z ]{1,18}$' }, minItems: 1, maxItems: 5 },
    }),
  },
  {
    name: 'Receipt',
    question: 'Read this receipt.',
    schema: objectOf({
      merchant: text,
      date: { type: 'string', format: 'date' },
      items: {
        type: 'array',
        items: objectOf({ name: text, price: amount }),
        maxItems: 4,
      },
      total: amount,
    }),
  },
];

function objectOf(properties: Readonly<Record<string, object>>): object {
  return { type: 'object', properties, required: Object.keys(properties), additionalProperties: false };
}
