import type { AnswerFormat } from './answer-format.ts';

/** The request as a page would send it with the openai client. */
export function requestCode(model: string, isToy: boolean, question: string, { fields }: AnswerFormat): string {
  const isChoice = 'guided_choice' in fields;
  const text = `choices[0].message.content${isChoice ? '' : ')'}`;
  return `import OpenAI from 'openai';
import { createNearsight } from 'nearsight';
${isToy ? "import { glimpse } from 'nearsight/glimpse';\n" : ''}
const nearsight = createNearsight({ model: ${isToy ? 'glimpse' : quote(model)} });
const client = new OpenAI({
  apiKey: 'local',
  baseURL: 'https://integrate.api.nvidia.com/v1', // nothing is sent there
  fetch: nearsight.fetch,
  dangerouslyAllowBrowser: true,
});
const image = { type: 'image_url', image_url: { url: document.images[0].src } };
const question = { type: 'text', text: ${quote(question)} };
const { choices } = await client.chat.completions.create({
  model: ${quote(model)},
  messages: [{ role: 'user', content: [image, question] }],
${indented(fields)}
});
console.log(${isChoice ? '' : 'JSON.parse('}${text});
`;
}

function quote(text: string): string {
  return `'${JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'`;
}

/** The fields of an object, without its braces. */
function indented(fields: object): string {
  return `${JSON.stringify(fields, null, 2).split('\n').slice(1, -1).join('\n')},`;
}
