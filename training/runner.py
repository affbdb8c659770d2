"""Runs exported glimpse files with ONNX Runtime on the CPU: the reference for evaluation and golden files."""

import numpy as np
import onnxruntime as ort
from transformers import Idefics3Processor, PreTrainedTokenizerFast
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

import prompt

MAX_NEW_TOKENS = 32


def processor(folder, **options):
    """The reference: Idefics3Processor with the PIL image processor."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    return Idefics3Processor(Idefics3ImageProcessorPil.from_pretrained(folder, **options), tokenizer, image_seq_len=prompt.SEQ_LEN,
                             chat_template=prompt.CHAT_TEMPLATE)


class Runner:
    def __init__(self, folder, suffix, threads=2):
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        open_ = lambda name: ort.InferenceSession(str(folder / f"{name}{suffix}.onnx"), options)
        self.vision, self.embed, self.decoder = (open_(n) for n in ("vision_encoder", "embed_tokens", "decoder_model_merged"))
        self.past = {i.name: (i.shape, np.float16 if "16" in i.type else np.float32) for i in self.decoder.get_inputs() if i.name.startswith("past")}

    def features(self, pixels):
        """(1, frames, 3, S, S) -> (frames, tokens, width)."""
        mask = np.ones((*pixels.shape[:2], *pixels.shape[3:]), dtype=bool)
        return self.vision.run(None, {"pixel_values": pixels, "pixel_attention_mask": mask})[0]

    def step(self, ids, past, features=None, image_token_id=None):
        """(logits, cache) after feeding ids (batch, s)."""
        embeds = self.embed.run(None, {"input_ids": ids})[0]
        if features is not None:
            embeds[ids == image_token_id] = features.reshape(-1, features.shape[-1])
        if past is None:
            past = {n: np.zeros((ids.shape[0], shape[1], 0, shape[3]), kind) for n, (shape, kind) in self.past.items()}
        before = next(iter(past.values())).shape[2]
        total = before + ids.shape[1]
        positions = np.broadcast_to(np.arange(before, total), ids.shape).copy()
        feeds = {"inputs_embeds": embeds, "attention_mask": np.ones((ids.shape[0], total), np.int64), "position_ids": positions, **past}
        logits, *present = self.decoder.run(None, feeds)
        return logits, dict(zip(past, present))

    def prefill(self, ids, pixels, image_token_id):
        features = self.features(pixels) if pixels is not None else None
        return self.step(np.asarray([ids], dtype=np.int64), None, features, image_token_id)

    def greedy(self, ids, pixels, image_token_id, end):
        """(answer ids with the end token, first-step logits)."""
        logits, past = self.prefill(ids, pixels, image_token_id)
        first, answer = logits[0, -1], []
        while len(answer) < MAX_NEW_TOKENS:
            answer.append(int(logits[0, -1].argmax()))
            if answer[-1] == end:
                break
            logits, past = self.step(np.array([[answer[-1]]]), past)
        return answer, first

    def score(self, ids, pixels, image_token_id, candidates):
        """Log-likelihood of each candidate continuation (lists of ids), all in one batch on one prefill."""
        logits, past = self.prefill(ids, pixels, image_token_id)
        softmax = lambda z: z - np.log(np.exp(z - z.max(-1, keepdims=True)).sum(-1, keepdims=True)) - z.max(-1, keepdims=True)
        longest = max(map(len, candidates))
        padded = np.array([c + [0] * (longest - len(c)) for c in candidates], dtype=np.int64)
        total = softmax(logits[0, -1])[padded[:, 0]]
        if longest > 1:
            past = {n: np.repeat(v, len(candidates), axis=0) for n, v in past.items()}
            after = softmax(self.step(padded[:, :-1], past)[0])
            for i, c in enumerate(candidates):
                total[i] += sum(after[i, k - 1, c[k]] for k in range(1, len(c)))
        return total
