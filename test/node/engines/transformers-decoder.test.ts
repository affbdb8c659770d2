import { afterAll, expect, test, vi } from 'vitest';
import { loadOrt } from '../../../worker/onnx/ort.ts';
import { Session } from '../../../worker/onnx/ort-session.ts';
import { asTransformers } from '../generation/toy-decoder.ts';
import { singleFile } from '../onnx/optimize-graphs.ts';
import { toyDecoder, toyEmbed } from '../onnx/toy-graphs.ts';
import { packagedOrt } from './packaged-ort.ts';

const { signal } = new AbortController();
const sessions: Session[] = [];

afterAll(async () => {
  for (const session of sessions) await session.close();
});

test.each([
  ['cannot, as many as a split image has are read at once first', false, [1280, 1, 1, 1]],
  ['can, chunks are as short as aborts ask for', true, [512, 512, 259]],
])('of a graph that reads several rows behind others, or not: if it %s', async (_, canRead, expected) => {
  const ort = await loadOrt('wasm', packagedOrt());
  for (const file of [toyDecoder({ positions: 2048 }), toyEmbed('float32')])
    sessions.push(await Session.open(ort, singleFile(file)));
  const [session, embed] = sessions.slice(-2) as [Session, Session];
  const read: number[] = [];
  const run = session.run.bind(session);
  vi.spyOn(session, 'run').mockImplementation((feeds, into) => {
    const rows = Number(feeds['inputs_embeds']?.dims[1]);
    const total = Number(feeds['attention_mask']?.dims[1]);
    // What exports with MultiHeadAttention say.
    if (!canRead && rows > 1 && total > rows) throw new Error('invalid expand shape');
    read.push(rows);
    return run(feeds, into);
  });
  const decoder = await asTransformers(ort, undefined, session, embed);
  await decoder.calibrate();
  read.length = 0;
  const prompt = Int32Array.from({ length: 1283 }, (__, at) => at % 24);
  await decoder.reset(prompt.length);
  await decoder.prefill(prompt, -1, [], signal);
  expect(read).toEqual(expected);
  decoder.close();
});
