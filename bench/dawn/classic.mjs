/**
 * The classic decode loop, written by hand on the same ONNX Runtime with the graphs as exported. Each token is embedded by
 * a run of its own and read back; the KV cache grows by one position (its outputs stay on the GPU and are the next
 * inputs); the logits are read back, and JavaScript takes the greatest. Error scopes are ONNX Runtime's default.
 */

/** @typedef {typeof import('onnxruntime-web')} Ort */
/** @typedef {import('onnxruntime-web').Tensor} Tensor */
/** @typedef {Record<string, Tensor>} Tensors */

const PAST = 'past_key_values.';

/**
 * @param {Readonly<Tensors>} tensors
 * @param {string} name
 */
function named(tensors, name) {
  const tensor = tensors[name];
  if (!tensor) throw new Error(`the graph has no output ${name}`);
  return tensor;
}

export class Classic {
  #ort;
  #embed;
  #decoder;
  #rows;

  /**
   * @param {Ort} ort
   * @param {import('onnxruntime-web').InferenceSession} embed
   * @param {import('onnxruntime-web').InferenceSession} decoder
   * @param {number} rows the maximum number of prompt rows in one run
   */
  constructor(ort, embed, decoder, rows) {
    this.#ort = ort;
    this.#embed = embed;
    this.#decoder = decoder;
    this.#rows = rows;
  }

  /**
   * @param {{ ort: Ort, device: GPUDevice, embed: Uint8Array, decoder: Uint8Array, layers: number, rows: number }} opening
   */
  static async open({ ort, device, embed, decoder, layers, rows }) {
    const executionProviders = [{ name: 'webgpu', device }];
    const quiet = { executionProviders, logSeverityLevel: /** @type {const} */ (3) };
    const first = await ort.InferenceSession.create(embed, quiet);
    // As in transformers.js: the KV cache stays on the GPU, other outputs are read back.
    const onGpu = Array.from({ length: layers }, (_, layer) => [
      `present.${layer}.key`,
      `present.${layer}.value`,
    ]).flat();
    const preferredOutputLocation = Object.fromEntries(
      onGpu.map((name) => [name, /** @type {const} */ ('gpu-buffer')]),
    );
    const second = await ort.InferenceSession.create(decoder, { ...quiet, preferredOutputLocation });
    return new Classic(ort, first, second, rows);
  }

  /**
   * @param {Int32Array} prompt
   * @param {number} tokens
   * @param {() => void} onToken
   */
  async answer(prompt, tokens, onToken) {
    /** @type {Tensors} */
    let past = this.#emptyCache();
    let length = 0;
    /** @type {Float32Array} */
    let logits = new Float32Array();
    /** @param {Int32Array} ids */
    const read = async (ids) => {
      const outputs = await this.#run(ids, length, past);
      for (const tensor of Object.values(past)) tensor.dispose();
      past = Object.fromEntries(
        Object.keys(past).map((name) => [name, named(outputs, name.replace(PAST, 'present.'))]),
      );
      length += ids.length;
      const { data, dims } = named(outputs, 'logits');
      if (!(data instanceof Float32Array)) throw new TypeError('expected float32 logits');
      logits = data.subarray(data.length - (dims.at(-1) ?? 0));
    };
    for (let at = 0; at < prompt.length; at += this.#rows) await read(prompt.subarray(at, at + this.#rows));
    const ids = [];
    while (ids.length < tokens) {
      let best = 0;
      for (let id = 1; id < logits.length; id++) if ((logits[id] ?? 0) > (logits[best] ?? 0)) best = id;
      ids.push(best);
      onToken();
      if (ids.length < tokens) await read(Int32Array.of(best));
    }
    for (const tensor of Object.values(past)) tensor.dispose();
    return ids;
  }

  /** @returns {Tensors} a KV cache without positions */
  #emptyCache() {
    /** @type {Tensors} */
    const past = {};
    for (const port of this.#decoder.inputMetadata) {
      if (!port.isTensor || !port.name.startsWith(PAST)) continue;
      const dims = [1, Number(port.shape[1]), 0, Number(port.shape[3])];
      past[port.name] = new this.#ort.Tensor('float32', new Float32Array(), dims);
    }
    return past;
  }

  /**
   * @param {Int32Array} ids
   * @param {number} length
   * @param {Tensors} past
   */
  async #run(ids, length, past) {
    /** @param {number[]} values */
    const integers = (values) => new this.#ort.Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);
    const embedded = await this.#embed.run({ input_ids: integers([...ids]) });
    /** @type {Tensors} */
    const feeds = { ...past, inputs_embeds: named(embedded, 'inputs_embeds') };
    const { inputNames } = this.#decoder;
    if (inputNames.includes('attention_mask')) {
      feeds['attention_mask'] = integers(Array.from({ length: length + ids.length }, () => 1));
    }
    if (inputNames.includes('position_ids'))
      feeds['position_ids'] = integers(Array.from(ids, (_, row) => length + row));
    if (inputNames.includes('num_logits_to_keep'))
      feeds['num_logits_to_keep'] = new this.#ort.Tensor('int64', [1n], []);
    return this.#decoder.run(feeds);
  }
}
