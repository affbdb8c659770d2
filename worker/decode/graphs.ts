import { NearsightError } from '../../src/wire/error.ts';
import type { Gpu } from '../gpu/device.ts';
import { GpuEmbedding } from '../gpu/embedding.ts';
import { WgslSampler } from '../gpu/sampler.ts';
import { GpuMemory } from '../gpu/memory.ts';
import { readbackLatency } from '../gpu/readback.ts';
import type { Ort } from '../onnx/ort.ts';
import { evaluator, Session } from '../onnx/session.ts';
import { operateDecoder } from '../onnx/surgery/decoder.ts';
import type { Operated } from '../onnx/surgery/operation.ts';
import { operateVision } from '../onnx/surgery/vision.ts';
import { type EmbeddingTable, embeddingTable } from '../onnx/table.ts';
import { CpuMemory } from './cpu.ts';
import type { Decoder } from './decoder.ts';
import { embedByGraph, embedByTable } from './embeddings.ts';
import { logitsRow } from './logits-row.ts';
import { CHUNK_ROWS, PlainDecoder } from './plain.ts';
import { ResidentDecoder } from './resident.ts';

/** A model's graphs, ready to run. */
export interface Graphs {
  vision: Session;
  decoder: Session;
  /** The graph, or the table that is all it does: with that it need not be run. */
  embed: Session | EmbeddingTable;
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
 * Weights are widened on wasm up to this size, which is glimpse's (12 MB), not SmolVLM's (540 MB, of which there would be
 * copies while the model is opened).
 */
const WIDEN_BYTES = 64 << 20;

/**
 * Opens the graphs one after the other, each fitted to how it is run here. A graph that surgery does not recognise is
 * opened as it is.
 *
 * @throws NearsightError `load_failed`, or what `read` throws; no session stays open then
 */
export async function openGraphs({ ort, gpu, positions, view, read, onOpened }: GraphOptions): Promise<Graphs> {
  const evaluate = evaluator(ort);
  const opened: Session[] = [];
  const open = async (graph: keyof Graphs, model: Uint8Array | Promise<Operated>): Promise<Session> => {
    try {
      const session = await Session.open(ort, await model, gpu?.device);
      opened.push(session);
      onOpened();
      return session;
    } catch (cause) {
      if (cause instanceof NearsightError) throw cause;
      throw new NearsightError('load_failed', `The ${graph} graph could not be opened: ${String(cause)}`, { cause });
    }
  };
  try {
    // On wasm, onnxruntime fuses by itself all that we would: it is no faster, and surgery takes half a second.
    const fitted = (model: Uint8Array): Uint8Array | Promise<Operated> =>
      gpu ? operateVision(model, { size: view, evaluate, attention: gpu.promptRows === undefined }) : model;
    const vision = await open('vision', fitted(await read('vision')));
    const widenBytes = gpu ? undefined : WIDEN_BYTES;
    const decoder = await open('decoder', operateDecoder(await read('decoder'), { positions, evaluate, widenBytes }));
    const embed = await read('embed');
    const table = embeddingTable(embed);
    // On a GPU a table is of use only where the decoder is run in a way that can look it up there.
    if (!table || (gpu && !canReside(gpu.device, decoder, table))) {
      return { vision, decoder, embed: await open('embed', embed) };
    }
    onOpened();
    return { vision, decoder, embed: table };
  } catch (error) {
    for (const session of opened) await session.close();
    throw error;
  }
}

/** What must be closed one day. A table is the decoder's, which needs it in memory or does not. */
export function sessionsOf(graphs: Graphs): Session[] {
  return Object.values(graphs).filter((graph) => graph instanceof Session);
}

/** The decoder that suits the graphs and the device. */
export async function openDecoder(ort: Ort, graphs: Omit<Graphs, 'vision'>, gpu?: Gpu): Promise<Decoder> {
  const { decoder: session, embed } = graphs;
  if (embed instanceof Session) {
    checkTypes(embed, session);
    const memory = gpu ? new GpuMemory(ort, gpu.device) : new CpuMemory(ort);
    return new PlainDecoder(ort, embedByGraph(ort, embed), session, memory, gpu?.promptRows);
  }
  if (!gpu) return new PlainDecoder(ort, embedByTable(ort, embed), session, new CpuMemory(ort));
  const { device, promptRows: mostRows = CHUNK_ROWS } = gpu;
  const logits = logitsRow(session);
  if (!logits) throw new NearsightError('internal', 'A table was kept for a decoder that cannot use it.');
  const sampler = new WgslSampler(device, logits.vocab, logits.type);
  const latency = await readbackLatency(device);
  const memory = new GpuMemory(ort, device);
  return new ResidentDecoder({ ort, device, session, table: embed, logits, memory, sampler, mostRows, latency });
}

function canReside({ limits }: GPUDevice, decoder: Session, table: EmbeddingTable): boolean {
  return GpuEmbedding.fits(table, limits) && logitsRow(decoder) !== undefined;
}

function checkTypes(embed: Session, decoder: Session): void {
  const given = embed.outputs.get('inputs_embeds')?.type;
  const taken = decoder.inputs.get('inputs_embeds')?.type;
  if (given && given === taken) return;
  const message = `The embedding graph gives ${given ?? 'no inputs_embeds'}, the decoder takes ${taken}.`;
  throw new NearsightError('load_failed', message);
}
