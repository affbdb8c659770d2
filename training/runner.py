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
    def __init__(self, folder, suffix, threads=1):
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
        """ids (batch, s); pixels (batch, frames, 3, S, S) or None."""
        features = self.features(pixels) if pixels is not None else None
        return self.step(np.asarray(ids, dtype=np.int64), None, features, image_token_id)

    def greedy(self, ids, pixels, image_token_id, end, constrained=None, most=MAX_NEW_TOKENS):
        """(answers as id lists with the end token, first-step logits) for prompts of one length.

        `constrained` has a constraint.Constrained for each prompt, or is None."""
        logits, past = self.prefill(ids, pixels, image_token_id)
        first, answers = logits[:, -1], [[] for _ in ids]
        while True:
            chosen = logits[:, -1].argmax(-1)
            for row, answer in enumerate(answers):
                if not answer or answer[-1] != end:
                    if constrained:
                        chosen[row] = constrained[row].choose(logits[row, -1])
                    answer.append(int(chosen[row]))
            if all(a[-1] == end for a in answers) or max(map(len, answers)) == most:
                return answers, first
            logits, past = self.step(chosen[:, None], past)

    def score(self, ids, pixels, image_token_id, candidates, keep=32):
        """Log-likelihoods of candidate continuations (id lists); those outside the `keep` best first tokens count as impossible."""
        logits, past = self.prefill([ids], pixels, image_token_id)
        total = np.array([log_softmax(logits[0, -1])[c[0]] for c in candidates])
        best = np.argsort(-total)[:keep]
        total[np.setdiff1d(np.arange(len(candidates)), best)] = -np.inf
        past = {n: np.repeat(v, len(best), axis=0) for n, v in past.items()}
        for k in range(1, max(len(candidates[i]) for i in best)):
            logits, past = self.step(np.array([candidates[i][min(k, len(candidates[i])) - 1] for i in best])[:, None], past)
            for row, i in enumerate(best):
                if k < len(candidates[i]):
                    total[i] += log_softmax(logits[row, -1])[candidates[i][k]]
        return total


def log_softmax(z):
    z = z - z.max()
    return z - np.log(np.exp(z).sum())
