import * as specs from 'nearsight/models';
import type { AnswerFormat } from './answer-format.ts';
import type { Offer } from './offers.ts';

/** The request as a page would send it with the openai client. */
export function requestCode(offer: Offer, question: string, { fields }: AnswerFormat): string {
  const isChoice = 'guided_choice' in fields;
  const text = `choices[0].message.content${isChoice ? '' : ')'}`;
  const model = modelIn(offer);
  return `import OpenAI from 'openai';
import { createNearsight } from 'nearsight';
${model.imports}
const nearsight = createNearsight({ model: ${model.code} });
const client = new OpenAI({
  apiKey: 'local',
  baseURL: 'https://integrate.api.nvidia.com/v1', // nothing is sent there
  fetch: nearsight.fetch,
  dangerouslyAllowBrowser: true,
});
const image = { type: 'image_url', image_url: { url: document.images[0].src } };
const question = { type: 'text', text: ${quote(question)} };
const { choices } = await client.chat.completions.create({
  model: ${quote(offer.id)},
  messages: [{ role: 'user', content: [image, question] }],
${indented(fields)}
});
console.log(${isChoice ? '' : 'JSON.parse('}${text});
`;
}

/** A model as code, and the import that this code needs. */
function modelIn({ model, toy }: Offer): { imports: string; code: string } {
  if ('hub' in model) {
    const members = Object.entries(model).map(([name, value]) => `${name}: ${quote(value)}`);
    return { imports: '', code: `{ ${members.join(', ')} }` };
  }
  if (toy) return { imports: "import { glimpse } from 'nearsight/glimpse';\n", code: 'glimpse' };
  const found = Object.entries(specs).find(([, spec]) => 'id' in spec && spec.id === model.id);
  if (!found) throw new Error(`nearsight/models has no ${model.id}.`);
  return { imports: `import { ${found[0]} } from 'nearsight/models';\n`, code: found[0] };
}

function quote(text: string): string {
  return `'${JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'`;
}

/** The fields of an object, without its braces. */
function indented(fields: object): string {
  return `${JSON.stringify(fields, null, 2).split('\n').slice(1, -1).join('\n')},`;
}
