import { expect, test, vi } from 'vitest';
import type { Decoder } from '../../../worker/generation/decoder.ts';
import { loadOrt } from '../../../worker/onnx/ort.ts';
import { Session } from '../../../worker/onnx/ort-session.ts';
import { assets } from '../engines/dawn-engine.ts';
import { singleFile } from '../onnx/optimize-graphs.ts';
import { toyDecoder, toyEmbed } from '../onnx/toy-graphs.ts';
import { asTransformers, POSITIONS, PROMPT, take } from './toy-decoder.ts';

const { signal } = new AbortController();

/** The second engine's decoder on the CPU. */
async function openOnWasm(): Promise<{ decoder: Decoder; session: Session } & AsyncDisposable> {
  const onWasm = await loadOrt('wasm', assets.ort);
  const session = await Session.open(
    onWasm,
    singleFile(toyDecoder({ rotary: 'input', allRows: true, positions: POSITIONS })),
  );
  const embed = await Session.open(onWasm, singleFile(toyEmbed('float32')));
  const decoder = await asTransformers(onWasm, undefined, session, embed);
  const close = async (): Promise<void> => {
    decoder.close();
    await session.close();
    await embed.close();
  };
  return { decoder, session, [Symbol.asyncDispose]: close };
}

test('a long text of an answer is read in chunks on wasm as well, which an abort ends', async () => {
  await using opened = await openOnWasm();
  const { decoder, session } = opened;
  await decoder.prefill(PROMPT, -1, [], signal);
  const run = vi.spyOn(session, 'run');
  const ids = Int32Array.from({ length: 600 }, (_, at) => at % 24);
  await decoder.read(ids, signal);
  expect(run).toHaveBeenCalledTimes(2);
  const abort = new AbortController();
  const reading = decoder.read(ids, abort.signal);
  abort.abort(new Error('enough'));
  await expect(reading).rejects.toThrow('enough');
  expect(run).toHaveBeenCalledTimes(2);
});

test('on wasm, a run of the second engine without memory is refused, and the next one is right', async () => {
  await using opened = await openOnWasm();
  const { decoder, session } = opened;
  const read = async (): Promise<number[]> => {
    decoder.clear();
    await decoder.prefill(PROMPT, -1, [], signal);
    return take(decoder, { limit: 10 });
  };
  const expected = await read();
  const run = vi.spyOn(session, 'run').mockRejectedValueOnce(new Error('ERROR_CODE: 6, ERROR_MESSAGE: std::bad_alloc'));
  await expect(read()).rejects.toMatchObject({
    code: 'context_length_exceeded',
    message: expect.stringMatching(/11 tokens/),
  });
  expect(await read()).toEqual(expected);
  for (const other of ['Invalid rank', 'memory access out of bounds']) {
    run.mockRejectedValueOnce(new Error(other));
    await expect(read()).rejects.toThrow(other);
  }
});
