import { NearsightError } from '../../src/wire/error.ts';
import type { Gpu } from '../gpu/device.ts';
import type { Ort } from '../onnx/ort.ts';
import { evaluator, Session } from '../onnx/session.ts';
import { operateDecoder } from '../onnx/surgery/decoder.ts';
import type { Operated } from '../onnx/surgery/operation.ts';
import { operateVision } from '../onnx/surgery/vision.ts';

/** A model's graphs, ready to run. */
export interface Graphs {
  vision: Session;
  embed: Session;
  decoder: Session;
}

export interface GraphOptions {
  ort: Ort;
  /** The GPU that they run on, if one does. */
  gpu: Pick<Gpu, 'device' | 'promptRows'> | undefined;
  /** Most positions that a sequence will have. */
  positions: number;
  /** Edge of a picture's view, in pixels. */
  view: number;
  /** Gives the file of a graph. */
  read: (graph: keyof Graphs) => Promise<Uint8Array>;
  /** Called as each is ready. */
  onOpened: () => void;
}

/**
 * Opens the graphs one after the other, each fitted to how it is run here. A graph that surgery does not recognise is
 * opened as it is.
 *
 * @throws NearsightError `load_failed`, or what `read` throws; no session stays open then
 */
export async function openGraphs({ ort, gpu, positions, view, read, onOpened }: GraphOptions): Promise<Graphs> {
  const evaluate = evaluator(ort);
  const opened: Session[] = [];
  const open = async (
    graph: keyof Graphs,
    operate: (model: Uint8Array) => Uint8Array | Promise<Operated>,
  ): Promise<Session> => {
    const model = await read(graph);
    try {
      const session = await Session.open(ort, await operate(model), gpu?.device);
      opened.push(session);
      onOpened();
      return session;
    } catch (cause) {
      if (cause instanceof NearsightError) throw cause;
      throw new NearsightError('load_failed', `The ${graph} graph could not be opened: ${String(cause)}`, { cause });
    }
  };
  const asItIs = (model: Uint8Array): Uint8Array => model;
  try {
    return {
      // On wasm, onnxruntime fuses by itself all that we would: it is no faster, and surgery takes half a second.
      vision: await open('vision', (model) =>
        gpu ? operateVision(model, { size: view, evaluate, attention: gpu.promptRows === undefined }) : model,
      ),
      embed: await open('embed', asItIs),
      decoder: await open('decoder', (model) => operateDecoder(model, { positions, evaluate })),
    };
  } catch (error) {
    for (const session of opened) await session.close();
    throw error;
  }
}

/** Frees the weights. */
export async function closeGraphs(graphs: Graphs): Promise<void> {
  for (const session of Object.values(graphs)) await session.close();
}
