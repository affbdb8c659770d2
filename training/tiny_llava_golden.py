"""Called by tiny_llava.py: images, chats, and what PyTorch answers to them; onnxruntime must answer the same from the files."""

import gzip
import json
import re

import numpy as np
import onnxruntime
import torch
import transformers
from PIL import Image, ImageDraw
from transformers import PreTrainedTokenizerFast
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

import tiny_llava as tiny

TOKENS = 16
# Between the likeliest token and the next, at every step: what the arithmetic of a GPU cannot turn around.
LEAST_MARGIN = 0.01


def draw(out):
    """A landscape, a portrait and one that is larger than the model's input: enlarged, cropped, reduced."""
    def image(name, size, paper, *discs):
        drawn = Image.new("RGB", size, paper)
        for x, y, radius, color in discs:
            ImageDraw.Draw(drawn).ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)
        drawn.save(out / name, optimize=True)

    image("wide.png", (96, 64), (250, 240, 200), (30, 32, 20, (200, 30, 40)), (70, 20, 12, (20, 60, 200)))
    image("tall.png", (50, 90), (20, 40, 30), (25, 45, 24, (240, 220, 60)))
    image("large.png", (300, 200), (230, 230, 240), (80, 100, 60, (30, 150, 60)), (210, 60, 45, (240, 120, 30)), (200, 150, 30, (90, 40, 140)))


def text(words):
    return {"type": "text", "text": words}


def image(name):
    return {"type": "image_url", "image_url": {"url": name}}


CHATS = {
    "text": [{"role": "user", "content": "Hello, who are you?"}],
    "wide": [{"role": "user", "content": [image("wide.png"), text("What is this?")]}],
    "tall": [{"role": "user", "content": [image("tall.png"), text("What is this?")]}],
    "large": [{"role": "user", "content": [text("Describe the image: "), image("large.png")]}],
    "system": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": [image("wide.png"), text("How many discs?")]}],
    "two-turns": [{"role": "user", "content": [image("tall.png"), text("What is this?")]}, {"role": "assistant", "content": "A disc."},
                  {"role": "user", "content": "Which colour has it?"}],
    "two-images": [{"role": "user", "content": [image("wide.png"), image("large.png"), text("Compare the two.")]}],
}


def parts(content):
    return content if isinstance(content, str) else [{"type": "image"} if part["type"] == "image_url" else part for part in content]


def summary(array):
    flat = array.astype(np.float64).ravel()
    return {"shape": list(array.shape), "sum": round(float(flat.sum()), 4), "abs_sum": round(float(np.abs(flat).sum()), 4),
            "first": [round(float(x), 6) for x in flat[:8]], "last": [round(float(x), 6) for x in flat[-8:]]}


def in_pytorch(vision, decoder, pixels, ids):
    """(features, tokens, logits of each step): the whole sequence again for each token."""
    features = torch.cat([vision(torch.from_numpy(p)) for p in pixels]) if pixels else None
    logits, sequence = [], list(ids)
    for _ in range(TOKENS):
        rows = decoder.model.embed_tokens(torch.tensor([sequence]))
        if pixels:
            rows[0, torch.tensor(sequence) == tiny.IMAGE] = features.flatten(0, 1)
        logits.append(decoder(inputs_embeds=rows).logits[0, -1].numpy())
        sequence.append(int(logits[-1].argmax()))
    return None if features is None else features.numpy(), sequence[len(ids):], logits


def in_onnxruntime(out, suffix, pixels, ids):
    """(features, tokens): with keys and values, as the engines run it."""
    vision, embed, decoder = (onnxruntime.InferenceSession(str(out / f"onnx/{name}{suffix}.onnx"))
                              for name in ("vision_encoder", "embed_tokens", "decoder_model_merged"))
    features = np.concatenate([vision.run(None, {"pixel_values": p})[0] for p in pixels]) if pixels else None
    rows = embed.run(None, {"input_ids": np.array([ids])})[0]
    if pixels:
        rows[0, np.array(ids) == tiny.IMAGE] = features.reshape(-1, features.shape[-1])
    past = {i.name: np.zeros((1, 1, 0, 32), np.float32) for i in decoder.get_inputs() if i.name.startswith("past")}
    tokens, read = [], 0
    while len(tokens) < TOKENS:
        positions = np.arange(read, read + rows.shape[1])[None]
        read += rows.shape[1]
        feeds = {"inputs_embeds": rows, "attention_mask": np.ones((1, read), np.int64), "position_ids": positions, **past}
        logits, *present = decoder.run(None, feeds)
        past = dict(zip(past, present))
        tokens.append(int(logits[0, -1].argmax()))
        rows = embed.run(None, {"input_ids": np.array([tokens[-1:]])})[0]
    return features, tokens


def answer(out, models, tokenizer, processor, messages):
    plain = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    chat = [{"role": turn["role"], "content": parts(turn["content"])} for turn in messages]
    prompt = plain.apply_chat_template(chat, chat_template=tiny.CHAT_TEMPLATE, add_generation_prompt=True, tokenize=False)
    names = [part["image_url"]["url"] for turn in messages if not isinstance(turn["content"], str) for part in turn["content"] if "image_url" in part]
    ids = tokenizer.encode(prompt.replace("<image>", "<image>" * tiny.ROWS), add_special_tokens=False).ids
    pixels = [processor(Image.open(out / name), return_tensors="np")["pixel_values"].astype(np.float32) for name in names]
    features, tokens, logits = in_pytorch(*models, pixels, ids)
    margins = [float(np.diff(np.sort(row)[-2:])[0]) for row in logits]
    assert min(margins) > LEAST_MARGIN, (prompt, min(margins))
    for suffix in ("", "_q4"):
        found, same = in_onnxruntime(out, suffix, pixels, ids)
        assert same == tokens, (suffix, prompt, same, tokens)
        assert features is None or np.abs(found - features).max() < 1e-4
    top = np.argsort(-logits[0])[:5]
    case = {"messages": messages, "prompt": prompt, "input_ids": ids, "tokens": tokens, "text": tokenizer.decode(tokens),
            "least_margin": round(min(margins), 4), "first_logits": [[int(i), round(float(logits[0][i]), 4)] for i in top]}
    return case if features is None else {**case, "pixel_values": [summary(p) for p in pixels], "image_features": summary(features)}


def write_golden(out, tokenizer, vision, decoder):
    draw(out)
    processor = CLIPImageProcessorPil(**json.loads((out / "preprocessor_config.json").read_text()))
    for file in sorted(out.glob("*.png")):
        # Mean 0 and deviation 1: the values are grey levels over 255.
        levels = np.rint(processor(Image.open(file), return_tensors="np")["pixel_values"][0] * 255).astype(np.uint8)
        (out / f"{file.stem}.rgb.gz").write_bytes(gzip.compress(levels.transpose(1, 2, 0).tobytes(), mtime=0))
    with torch.no_grad():
        cases = {name: answer(out, (vision, decoder), tokenizer, processor, messages) for name, messages in CHATS.items()}
    answers = [tuple(case["tokens"]) for case in cases.values()]
    assert len(set(answers)) == len(answers), "An image or a question makes no difference."
    made = {"transformers": transformers.__version__, "torch": torch.__version__, "onnxruntime": onnxruntime.__version__}
    # Lists of numbers in one line.
    written = re.sub(r"\[[-\d.,\s]+\]", lambda found: re.sub(r"\s+", " ", found[0]), json.dumps({"made_with": made, "cases": cases}, indent=1))
    (out / "golden.json").write_text(written + "\n")
