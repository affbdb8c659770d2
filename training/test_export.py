"""Tests of the exporter: the graphs, the prompt and the pictures equal the reference implementation's.

    python test_export.py --cache DIR --model ../models/glimpse --checkpoint quantized
"""

import argparse
import random
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import PreTrainedTokenizerFast
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

import graphs
import prompt
import samples
from export import load
from model import Glimpse
from restore import restore
from runner import Runner, processor


def pictures(seed=0):
    rng = np.random.default_rng(seed)
    for w, h in [(96, 96), (192, 192), (64, 64), (300, 200), (123, 457), (640, 480), (96, 400), (201, 100), (31, 17)]:
        small = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)
        yield Image.fromarray(small).resize((w, h), Image.Resampling.BICUBIC)


def test_prompt_equals_processor(folder):
    for splitting in (False, True):
        reference = processor(folder, do_image_splitting=splitting)
        for image in pictures():
            messages = [{"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
                        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is this?"}]}]
            text = reference.apply_chat_template(messages, add_generation_prompt=True)
            batch = reference(text=[text], images=[[image]], return_tensors="np")
            rows, cols = samples.split(image)[1:] if splitting else (0, 0)
            if (rows, cols) == (1, 1):
                rows = cols = 0
            ours = prompt.opening([prompt.picture(rows, cols)], "Be brief.") + "What is this?" + prompt.ASK
            assert reference.tokenizer(ours)["input_ids"] == batch["input_ids"][0].tolist(), image.size


def test_frames_equal_processor(folder):
    for splitting in (False, True):
        reference = Idefics3ImageProcessorPil.from_pretrained(folder, do_image_splitting=splitting)
        for image in pictures():
            if image.size == (96, 96) and not splitting:
                continue  # samples.whole takes a short cut there
            expected = reference([[image]], return_tensors="np")["pixel_values"][0]
            frames = samples.split(image)[0] if splitting else samples.whole(image)
            got = np.stack([np.asarray(f) for f in frames]).transpose(0, 3, 1, 2) / 127.5 - 1
            assert got.shape == expected.shape and np.abs(got - expected).max() < 1e-5, image.size


def logits(runner, model, ids, pixels, steps=0):
    """Logits of the prompt, then of `steps` greedy tokens through the cache."""
    out, past = runner.prefill(ids, pixels, model.idefics.config.image_token_id)
    outputs = [out]
    for _ in range(steps):
        out, past = runner.step(out[:, -1:].argmax(-1), past)
        outputs.append(out)
    return np.concatenate(outputs, 1)


def example(model, seed):
    rng = random.Random(seed)
    ids = [rng.randrange(3, 1000) for _ in range(5)] + [model.idefics.config.image_token_id] * prompt.SEQ_LEN * 2 + [rng.randrange(3, 1000) for _ in range(9)]
    return np.array([ids]), np.random.default_rng(seed).uniform(-1, 1, (1, 2, 3, 96, 96)).astype(np.float32)


def test_fp32_equals_pytorch(model, cache):
    runner = Runner(cache / "onnx", "")
    for seed in range(5):
        ids, pixels = example(model, seed)
        with torch.no_grad():
            expected = model.idefics(input_ids=torch.from_numpy(ids), pixel_values=torch.from_numpy(pixels),
                                     pixel_attention_mask=torch.ones(1, 2, 96, 96, dtype=torch.bool)).logits.numpy()
        got = logits(runner, model, ids, pixels)
        assert np.abs(got - expected).max() < 1e-4, np.abs(got - expected).max()


def test_training_forward_equals_reference(model):
    ids, pixels = (torch.from_numpy(a) for a in example(model, 7))
    length = ids.shape[1]
    with torch.no_grad():
        expected = model.idefics(input_ids=ids, pixel_values=pixels, pixel_attention_mask=torch.ones(1, 2, 96, 96, dtype=torch.bool)).logits
        features = model.picture_tokens(model.patches(pixels[0])).flatten(0, 1)
        mask = torch.ones(1, length, length, dtype=torch.bool).tril()
        got = model.idefics.lm_head(model.hidden(ids, torch.arange(length)[None], mask, features)[0])
    assert (got - expected).abs().max() < 1e-4


def test_cache_equals_prefill(model, cache):
    runner = Runner(cache / "onnx", "")
    ids, pixels = example(model, 9)
    stepped = logits(runner, model, ids, pixels, steps=6)
    answer = stepped[:, ids.shape[1] - 1:-1].argmax(-1)
    at_once = logits(runner, model, np.concatenate([ids, answer], 1), pixels)
    assert np.abs(stepped - at_once).max() < 1e-4


def test_padding_frames_are_dropped(model, cache):
    session = Runner(cache / "onnx", "").vision
    _, pixels = example(model, 3)
    mask = np.ones((1, 2, 96, 96), bool)
    both = session.run(None, {"pixel_values": pixels, "pixel_attention_mask": mask})[0]
    mask[0, 1] = False
    assert np.allclose(session.run(None, {"pixel_values": pixels, "pixel_attention_mask": mask})[0], both[:1], atol=1e-5)


def test_every_string_round_trips(folder):
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    for text in ["What is this?", "  two  spaces\n\n", "naïve 日本語 🐶", "\t<b>&amp;</b>", "123 4.5", "\u0000\u007f"]:
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text, text


def test_variants_agree(model, folder, cache):
    ids, pixels = example(model, 5)
    full = logits(Runner(cache / "onnx", ""), model, ids, pixels)
    half = logits(Runner(cache / "onnx", "_fp16"), model, ids, pixels)
    q4, q4f16 = (logits(Runner(folder / "onnx", s), model, ids, pixels) for s in ("_q4", "_q4f16"))
    spread = full.std()
    assert np.abs(half - full).max() < 0.1 * spread and np.abs(q4f16 - q4).max() < 0.1 * spread


def test_restored_equals_shipped(model, folder):
    """Training can start from the shipped files: read back, they give the same logits, and are written again byte for byte."""
    again = Glimpse(model.idefics.config, model.patch_classes.out_features // 2).eval()
    restore(again, folder)
    ids, pixels = example(again, 11)
    shipped = Runner(folder / "onnx", "_q4")
    with torch.no_grad():
        features = again.picture_tokens(again.patches(torch.from_numpy(pixels[0]))).flatten(0, 1)
        length = ids.shape[1]
        mask = torch.ones(1, length, length, dtype=torch.bool).tril()
        got = again.idefics.lm_head(again.hidden(torch.from_numpy(ids), torch.arange(length)[None], mask, features)[0]).numpy()
        built = {"vision_encoder": graphs.vision_encoder(again, False, True), "embed_tokens": graphs.embed_tokens(again, False),
                 "decoder_model_merged": graphs.decoder(again, False, True)}
    assert np.abs(got - logits(shipped, again, ids, pixels)).max() < 1e-4
    for name, graph in built.items():
        assert graph.SerializeToString() == (folder / f"onnx/{name}_q4.onnx").read_bytes(), name


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--checkpoint", default="quantized")
    parser.add_argument("--model", type=Path, default=Path(__file__).parent.parent / "models/glimpse")
    args = parser.parse_args()
    model = load(args.cache, args.checkpoint)
    known = {"model": model, "folder": args.model, "cache": args.cache}
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test(*(known[p] for p in test.__code__.co_varnames[: test.__code__.co_argcount]))
            print("ok", name)


if __name__ == "__main__":
    main()
