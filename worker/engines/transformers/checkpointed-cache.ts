import { NearsightError } from '../../../src/protocol/errors.ts';
import type { KvSnapshot } from '../../backend/kv-cache.ts';
import type { CachedStates } from '../../generation/decoder.ts';
import { PAST } from '../../onnx/decoder-ports.ts';
import type { Tensor } from '../../onnx/ort.ts';
import type { Tensors } from '../../onnx/ort-session.ts';
import { elementBytes } from '../../onnx/tensor.ts';
import type { TransformersKit } from './kit.ts';
import { type CachePort, cachePorts, grows, unknownState } from './cache-ports.ts';
import { KvBuffers } from './kv-buffers.ts';

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
 * checkpoints share their states with the cache.
 */
export class CheckpointedCache implements CachedStates {
  /** Of keys and values. */
  readonly type: 'float32' | 'float16';
  length = 0;
  readonly #kit: TransformersKit;
  readonly #ports: readonly CachePort[];
  /** Inputs that cannot be cut. */
  readonly #states: ReadonlySet<string>;
  /** Absent on wasm, where onnxruntime returns arrays. */
  readonly #buffers: KvBuffers | undefined;
  #tensors: Tensors = {};
  #checkpoints: Checkpoint[] = [];
  readonly #uses = new Map<Tensor, number>();

  /** @throws NearsightError `load_failed` for a decoder whose inputs have another form */
  constructor(kit: TransformersKit) {
    const { ort, device, positions } = kit;
    this.#kit = kit;
    this.#ports = cachePorts(kit.sessions.decoder);
    this.#states = new Set(this.#ports.filter((port) => !grows(port)).map(({ past }) => past));
    const first = this.#ports.find(grows);
    if (!first) throw unknownState(`${PAST}*`, []);
    this.type = first.type;
    this.#buffers = device && new KvBuffers(ort, device, this.#ports, positions);
  }

  set onOutOfMemory(evict: () => boolean) {
    // On wasm, nothing that could be evicted is in onnxruntime's heap.
    if (this.#buffers) this.#buffers.onOutOfMemory = evict;
  }

  get hasStates(): boolean {
    return this.#states.size > 0;
  }

  get buffers(): number {
    return this.#buffers?.count ?? 0;
  }

  /**
   * Goes back to the first `kept` positions and reserves memory for `positions` in total.
   *
   * @throws NearsightError `context_length_exceeded` if there is none; the cache is empty then
   */
  async reserve(positions: number, kept: number): Promise<void> {
    if (kept === 0) this.#empty();
    const own = Object.fromEntries(Object.entries(this.#tensors).filter(([, tensor]) => this.#uses.get(tensor) === 1));
    await this.#orClear(async () => this.#buffers?.reserve(positions, own));
    this.rewind(kept);
  }

  /** Inputs of the next run. */
  feeds(): Tensors {
    // transformers.js would make those of the start by its own list of families.
    if (this.length === 0) this.#start();
    return this.#tensors;
  }

  /**
   * Tensors for what the next run returns; none on wasm. Give them to {@link advance}, or to {@link discard}.
   *
   * @throws NearsightError as {@link reserve} does
   */
  async targets(count: number): Promise<Tensors> {
    return this.#orClear(async () => (await this.#buffers?.take(this.length + count)) ?? {});
  }

  discard(targets: Tensors): void {
    for (const tensor of Object.values(targets)) this.#buffers?.give(tensor);
  }

  /** Takes over what a run returned for `count` more positions. */
  advance(count: number, outputs: Tensors): void {
    const before = this.#tensors;
    this.#tensors = {};
    for (const { present, past } of this.#ports) {
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
    // The first stays: after the images of a conversation.
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
        this.#tensors[name] = this.#states.has(name) ? states[name]! : this.#cut(name, tensor, kept);
    }
    this.#retain(this.#tensors);
    this.#drop(before);
    this.#dropAll(this.#checkpoints.splice(this.#checkpoints.findLastIndex((each) => each.length <= kept) + 1));
    this.length = kept;
  }

  snapshotBytes(): number {
    const tensors = [this.#tensors, ...this.#checkpoints.map(({ states }) => states)].flatMap(Object.values<Tensor>);
    return [...new Set(tensors)].reduce((sum, { size, type }) => sum + size * elementBytes(type), 0);
  }

  snapshot(): KvSnapshot {
    const { length } = this;
    const bytes = this.snapshotBytes();
    const checkpoints = [...this.#checkpoints];
    // A buffer of the cache has space for more positions: the snapshot gets smaller ones.
    const growing = Object.fromEntries(Object.entries(this.#tensors).filter(([name]) => !this.#states.has(name)));
    const [copies, outOfMemory] = this.#buffers?.copy(growing, length) ?? [growing, Promise.resolve(false)];
    const tensors = { ...this.#tensors, ...copies };
    const all = [tensors, ...checkpoints.map(({ states }) => states)];
    all.forEach((each) => this.#retain(each));
    const release = (): void => all.forEach((each) => this.#drop(each));
    const held = { length, tensors, checkpoints, bytes, hasStates: this.hasStates, release };
    return new Snapshot(held, outOfMemory);
  }

  restore(saved: KvSnapshot, length: number): void {
    if (!(saved instanceof Snapshot)) throw new TypeError('The snapshot was taken by another kind of cache.');
    const { tensors, checkpoints } = saved.held;
    this.#retain(tensors);
    checkpoints.forEach(({ states }) => this.#retain(states));
    this.#empty();
    this.#tensors = { ...tensors };
    this.#checkpoints = [...checkpoints];
    this.length = saved.held.length;
    this.rewind(length);
  }

  clear(): void {
    this.#empty();
    this.#buffers?.clear();
  }

  #start(): void {
    this.#empty();
    for (const { past, type, dims } of this.#ports)
      this.#tensors[past] = this.#array(
        type,
        dims.map((size) => size ?? 0),
      );
    this.#retain(this.#tensors);
  }

  /** Drops all positions, and keeps what is reserved. */
  #empty(): void {
    this.#drop(this.#tensors);
    this.#dropAll(this.#checkpoints);
    this.#tensors = {};
    this.#checkpoints = [];
    this.length = 0;
  }

  async #orClear<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.clear();
      throw error;
    }
  }

  /** A copy of the first positions. */
  #cut(name: string, tensor: Tensor, length: number): Tensor {
    const [batch = 1, heads = 0, positions = 0, width = 0] = tensor.dims;
    const cut = this.#buffers?.takeOne(name, length) ?? this.#array(tensor.type, [batch, heads, length, width]);
    for (let head = 0; head < heads; head++)
      this.#kit.memory.copyRows(tensor, head * positions, length, cut, head * length);
    return cut;
  }

  #array(type: Tensor.Type, dims: readonly number[]): Tensor {
    const count = dims.reduce((product, dim) => product * dim, 1);
    const { Tensor } = this.#kit.ort;
    const tensor =
      type === 'float16'
        ? new Tensor(type, new Uint16Array(count), dims)
        : new Tensor('float32', new Float32Array(count), dims);
    this.#kit.track(tensor);
    return tensor;
  }

  #retain(tensors: Tensors): void {
    for (const tensor of Object.values(tensors)) this.#uses.set(tensor, (this.#uses.get(tensor) ?? 0) + 1);
  }

  #drop(tensors: Tensors): void {
    for (const tensor of Object.values(tensors)) {
      const uses = (this.#uses.get(tensor) ?? 0) - 1;
      if (uses > 0) this.#uses.set(tensor, uses);
      else if (this.#uses.delete(tensor)) {
        this.#buffers?.give(tensor);
        this.#kit.release(tensor);
      }
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
  lost = false;
  readonly held: Held;

  constructor(held: Held, outOfMemory: Promise<boolean>) {
    this.held = held;
    outOfMemory.then(
      (lost) => (this.lost = lost),
      () => (this.lost = true),
    );
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
