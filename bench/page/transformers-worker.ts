// The baseline: transformers.js in a worker, as in its documentation.
import {
  AutoModelForImageTextToText,
  AutoProcessor,
  AutoTokenizer,
  env,
  load_image,
  type PreTrainedModel,
  type PreTrainedTokenizer,
  type Processor,
  Tensor,
  TextStreamer,
} from '@huggingface/transformers';
import { SAMPLING } from '../sampling.mjs';
import type { Facts, Opening, Question } from './side.ts';

export type TheirFacts = Pick<Facts, 'device' | 'dtype' | 'threads'>;

export type WorkerCall =
  | ({ type: 'open'; site: string; folder: string } & Pick<
      Opening,
      'device' | 'dtype' | 'unvalidated' | 'cached' | 'threads' | 'embedDtype'
    >)
  | { type: 'ask'; question: Question; images: Blob[] };

export type Reply =
  | { type: 'opened'; facts: TheirFacts }
  | { type: 'token' }
  | { type: 'answered'; promptTokens: number; tokens: number; text: string }
  | { type: 'failed'; message: string };

interface Opened {
  model: PreTrainedModel;
  processor: Processor;
  tokenizer: PreTrainedTokenizer;
}

let opened: Opened | undefined;

const post = (reply: Reply): void => postMessage(reply);

async function open(call: Extract<WorkerCall, { type: 'open' }>) {
  const { site, folder, device, dtype, unvalidated, cached = false, threads, embedDtype } = call;
  env.allowLocalModels = true;
  env.allowRemoteModels = false;
  // A path, because it takes a full URL for a missing file.
  env.localModelPath = '/models/';
  env.useBrowserCache = cached;
  if (cached) {
    // Only what comes from the hub is cached.
    env.allowLocalModels = false;
    env.allowRemoteModels = true;
    env.remoteHost = site;
    env.remotePathTemplate = 'models/{model}/';
  }
  env.useWasmCache = false;
  const { wasm } = env.backends.onnx;
  if (!wasm) throw new Error('no onnxruntime');
  const files = `${site}transformers-ort/ort-wasm-simd-threaded.asyncify`;
  wasm.wasmPaths = { mjs: `${files}.mjs`, wasm: `${files}.wasm` };
  if (threads !== undefined) wasm.numThreads = threads;
  const options = unvalidated
    ? { session_options: { executionProviders: [{ name: 'webgpu', validationMode: 'disabled' }] } }
    : {};
  // The hub's names of dtypes.
  const kind = dtype === 'q4f16' ? 'q4f16' : 'q4';
  const embed_tokens = embedDtype ?? kind;
  const dtypes = { vision_encoder: kind, embed_tokens, decoder_model_merged: kind } as const;
  const model = await AutoModelForImageTextToText.from_pretrained(folder, { device, dtype: dtypes, ...options });
  const processor = await AutoProcessor.from_pretrained(folder);
  opened = { model, processor, tokenizer: await AutoTokenizer.from_pretrained(folder) };
  // ONNX Runtime has set this by now; undefined means that wasm was not used.
  post({ type: 'opened', facts: { device, dtype: kind, threads: wasm.numThreads ?? 1 } });
}

async function ask({ question: { turns, tokens, sampled = false }, images }: Extract<WorkerCall, { type: 'ask' }>) {
  if (!opened) throw new Error('not opened');
  const { model, processor, tokenizer } = opened;
  const chat = turns.map(({ role, text, image }) => ({
    role,
    content: [...(image === undefined ? [] : [{ type: 'image' as const }]), { type: 'text' as const, text }],
  }));
  const prompt = tokenizer.apply_chat_template(chat, { add_generation_prompt: true, tokenize: false });
  if (typeof prompt !== 'string') throw new Error('the chat template gave no text');
  // The processor fails without images, so a text alone goes to the tokenizer.
  const inputs =
    images.length > 0
      ? await processor(prompt, await Promise.all(images.map((image) => load_image(image))), {
          do_image_splitting: false,
        })
      : tokenizer(prompt);
  const streamer = new TextStreamer(tokenizer, {
    skip_prompt: true,
    callback_function: () => {},
    token_callback_function: () => post({ type: 'token' }),
  });
  const sampling = sampled ? { do_sample: true, ...SAMPLING } : { do_sample: false };
  const output = await model.generate({ ...inputs, max_new_tokens: tokens, eos_token_id: null, streamer, ...sampling });
  if (!(output instanceof Tensor)) throw new Error('no ids');
  const all = Array.from(output.data, BigInt);
  const promptTokens = Number(inputs.input_ids.dims[1]);
  const ids = all.slice(promptTokens);
  const text = tokenizer.decode(ids, { skip_special_tokens: true });
  post({ type: 'answered', promptTokens, tokens: ids.length, text });
}

addEventListener('message', ({ data }: MessageEvent<WorkerCall>) => {
  const done = data.type === 'open' ? open(data) : ask(data);
  done.catch((error: unknown) => post({ type: 'failed', message: String(error) }));
});
