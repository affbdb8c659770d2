import { NearsightError } from '../../../src/protocol/errors.ts';
import type { KvSnapshot } from '../../backend/kv-cache.ts';
import type { CachedStates } from '../../generation/decoder.ts';
import { PAST } from '../../onnx/decoder-ports.ts';
import type { Tensor } from '../../onnx/ort.ts';
import type { Tensors } from '../../onnx/ort-session.ts';
import { elementBytes } from '../../onnx/tensor.ts';
import { COPY_DST, COPY_SRC, STORAGE } from '../../webgpu/buffer-usage.ts';
import type { TransformersKit } from './kit.ts';

/** Checkpoints of one sequence. Each has the states of all layers: 19 MB for Qwen3.5-0.8B. */
const MOST_CHECKPOINTS = 4;

interface Checkpoint {
  length: number;
  states: Tensors;
}

/**
 * What a decoder keeps of the positions it has read, as the tensors that each run returns: keys and values, which grow and
 * can be cut anywhere, and states (of convolutions, of linear attention), which have a fixed size and stand for one position.
 * With states, the cache can only go back to where a {@link checkpoint} was made. Tensors are never written to, so that
 * checkpoints and snapshots share them with the cache, and cost nothing until it goes on.
 */
export class CheckpointedCache implements CachedStates {
  /** Never called: onnxruntime allocates the tensors, and where it cannot, the GPU reports an error. */
  onOutOfMemory = (): boolean => false;
  /** The first graph input for keys or values. */
  readonly type: 'float32' | 'float16';
  length = 0;
  readonly #kit: TransformersKit;
  /** Output to input. */
  readonly #names = new Map<string, string>();
  /** Inputs that cannot be cut. */
  readonly #states = new Set<string>();
  #tensors: Tensors = {};
  #checkpoints: Checkpoint[] = [];
  readonly #uses = new Map<Tensor, number>();

  /** @throws NearsightError `load_failed` for a decoder whose inputs have another form */
  constructor(kit: TransformersKit) {
    this.#kit = kit;
    const { inputs, outputs } = kit.sessions.decoder;
    let type: Tensor.Type | undefined;
    for (const [name, port] of inputs) {
      if (!name.startsWith('past')) continue;
      const present = name.startsWith(PAST) ? `present.${name.slice(PAST.length)}` : name.replace('past', 'present');
      const found = [present, present.replace('present.', 'present_key_values.')].find((each) => outputs.has(each));
      const grows = typeof port.shape[2] === 'string' && port.shape.length === 4;
      const isFixed = port.shape.slice(1).every((size) => typeof size === 'number');
      if (found === undefined || !(grows || isFixed)) throw unknownState(name, port.shape);
      this.#names.set(found, name);
      if (!grows) this.#states.add(name);
      else type ??= port.type;
    }
    if (type !== 'float32' && type !== 'float16') throw unknownState(`${PAST}*`, []);
    this.type = type;
  }

  get hasStates(): boolean {
    return this.#states.size > 0;
  }

  /** Inputs of the next run; none at the start, where transformers.js makes them. */
  feeds(): Tensors {
    return this.#tensors;
  }

  /** Takes over what a run returned for `count` more positions. */
  advance(count: number, outputs: Tensors): void {
    const before = this.#tensors;
    this.#tensors = {};
    for (const [present, past] of this.#names) {
      const tensor = outputs[present];
      if (!tensor) throw new NearsightError('internal', `The decoder returned no ${present}.`);
      this.#tensors[past] = tensor;
    }
    this.#retain(this.#tensors);
    this.#drop(before);
    this.length += count;
  }

  /** Makes the position one that the cache can go back to. */
  checkpoint(): void {
    if (!this.hasStates || this.length === 0 || this.#checkpoints.at(-1)?.length === this.length) return;
    const states: Tensors = {};
    for (const name of this.#states) states[name] = this.#tensors[name]!;
    this.#retain(states);
    this.#checkpoints.push({ length: this.length, states });
    // The first stays: behind the images of a conversation.
    if (this.#checkpoints.length > MOST_CHECKPOINTS) this.#dropAll(this.#checkpoints.splice(1, 1));
  }

  reachable(length: number): number {
    return reachableIn(this.length, this.hasStates ? this.#checkpoints : undefined, length);
  }

  rewind(length: number): void {
    const kept = this.reachable(length);
    if (kept === this.length) return;
    const before = this.#tensors;
    const states = this.#checkpoints.find((each) => each.length === kept)?.states ?? {};
    this.#tensors = {};
    if (kept > 0) {
      for (const [name, tensor] of Object.entries(before))
        this.#tensors[name] = this.#states.has(name) ? states[name]! : this.#cut(tensor, kept);
    }
    this.#retain(this.#tensors);
    this.#drop(before);
    this.#dropAll(this.#checkpoints.splice(this.#checkpoints.findLastIndex((each) => each.length <= kept) + 1));
    this.length = kept;
  }

  get snapshotBytes(): number {
    const tensors = [this.#tensors, ...this.#checkpoints.map(({ states }) => states)].flatMap(Object.values<Tensor>);
    return [...new Set(tensors)].reduce((sum, { size, type }) => sum + size * elementBytes(type), 0);
  }

  snapshot(): KvSnapshot {
    const { length, snapshotBytes: bytes } = this;
    const tensors = { ...this.#tensors };
    const checkpoints = [...this.#checkpoints];
    const all = [tensors, ...checkpoints.map(({ states }) => states)];
    all.forEach((each) => this.#retain(each));
    const release = (): void => all.forEach((each) => this.#drop(each));
    return new Snapshot({ length, tensors, checkpoints, bytes, hasStates: this.hasStates, release });
  }

  restore(saved: KvSnapshot, length: number): void {
    if (!(saved instanceof Snapshot)) throw new TypeError('The snapshot was taken by another kind of cache.');
    const { tensors, checkpoints } = saved.held;
    this.#retain(tensors);
    checkpoints.forEach(({ states }) => this.#retain(states));
    this.clear();
    this.#tensors = { ...tensors };
    this.#checkpoints = [...checkpoints];
    this.length = saved.held.length;
    this.rewind(length);
  }

  clear(): void {
    this.#drop(this.#tensors);
    this.#dropAll(this.#checkpoints);
    this.#tensors = {};
    this.#checkpoints = [];
    this.length = 0;
  }

  /** A copy of the first positions. */
  #cut(tensor: Tensor, length: number): Tensor {
    const [batch = 1, heads = 0, positions = 0, width = 0] = tensor.dims;
    const cut = this.#allocate(tensor.type, [batch, heads, length, width]);
    this.#kit.track(cut);
    for (let head = 0; head < heads; head++)
      this.#kit.memory.copyRows(tensor, head * positions, length, cut, head * length);
    return cut;
  }

  #allocate(type: Tensor.Type, dims: readonly number[]): Tensor {
    const { ort, device } = this.#kit;
    const count = dims.reduce((product, dim) => product * dim, 1);
    const dataType = type === 'float16' ? 'float16' : 'float32';
    if (!device)
      return new ort.Tensor(dataType, type === 'float16' ? new Uint16Array(count) : new Float32Array(count), dims);
    const usage = STORAGE | COPY_SRC | COPY_DST;
    const buffer = device.createBuffer({ label: 'KV', size: count * elementBytes(type), usage });
    return ort.Tensor.fromGpuBuffer(buffer, { dataType, dims, dispose: () => buffer.destroy() });
  }

  #retain(tensors: Tensors): void {
    for (const tensor of Object.values(tensors)) this.#uses.set(tensor, (this.#uses.get(tensor) ?? 0) + 1);
  }

  #drop(tensors: Tensors): void {
    for (const tensor of Object.values(tensors)) {
      const uses = (this.#uses.get(tensor) ?? 0) - 1;
      if (uses > 0) this.#uses.set(tensor, uses);
      else if (this.#uses.delete(tensor)) this.#kit.release(tensor);
    }
  }

  #dropAll(checkpoints: readonly Checkpoint[]): void {
    checkpoints.forEach(({ states }) => this.#drop(states));
  }
}

interface Held {
  length: number;
  tensors: Tensors;
  checkpoints: readonly Checkpoint[];
  bytes: number;
  hasStates: boolean;
  release: () => void;
}

class Snapshot implements KvSnapshot {
  readonly lost = false;
  readonly held: Held;

  constructor(held: Held) {
    this.held = held;
  }

  get bytes(): number {
    return this.held.bytes;
  }

  reachable(length: number): number {
    return reachableIn(this.held.length, this.held.hasStates ? this.held.checkpoints : undefined, length);
  }

  release(): void {
    this.held.release();
  }
}

/** @param checkpoints the positions to go back to; undefined: any */
function reachableIn(end: number, checkpoints: readonly Checkpoint[] | undefined, length: number): number {
  if (length >= end) return end;
  if (!checkpoints) return length;
  return checkpoints.findLast((each) => each.length <= length)?.length ?? 0;
}

function unknownState(name: string, shape: readonly unknown[]): NearsightError {
  const message = `The decoder's input ${name} [${shape.join(', ')}] is neither keys or values nor a state of a fixed size.`;
  return new NearsightError('load_failed', message);
}
