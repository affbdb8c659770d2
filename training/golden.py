"""Writes test/fixtures/glimpse: images, chats and what the shipped files answer, for the tests of the runtime.

    python golden.py --cache DIR [--model ../models/glimpse] [--out ../test/fixtures/glimpse]
"""

import argparse
import gzip
import json
import random
from pathlib import Path

import numpy as np
import onnxruntime
import PIL
import transformers
from PIL import Image

import scenes as s
from constraint import Choices, Constrained, Fields, Vocabulary
from runner import Runner, processor

HERE = Path(__file__).parent
STYLES = ["noto", "fluent-emoji", "fluent-emoji-flat", "fluent-3d"]  # Apache-2.0 and MIT: the images are committed


class Pictures:
    """Small scenes with exact contents, drawn from a fixed seed."""

    def __init__(self, cache, folder):
        self.art, self.folder = s.Art(cache), folder
        rows = json.loads((cache / "sprites.json").read_text())
        self.rows = {(row["thing"], row["style"]): i for i, row in reversed(list(enumerate(rows)))}
        self.cache = cache

    def things(self, size, color, *things):
        """things: (name, style, x, y, size as a part of the shorter edge)."""
        image = Image.new("RGB", size, s.COLORS[color])
        for name, style, x, y, part in things:
            pixels = int(part * min(size))
            sprite = Image.fromarray(self.art.pixels[self.rows[name, STYLES[style]]]).resize((pixels, pixels), Image.Resampling.BILINEAR)
            image.paste(sprite, (int(x * size[0] - pixels / 2), int(y * size[1] - pixels / 2)), sprite)
        return image

    def shape(self, size, name, color, backdrop):
        image = Image.new("RGB", size, s.COLORS[backdrop])
        drawn = s.draw_shape(name, s.COLORS[color], min(size) // 2, random.Random(3))
        image.paste(drawn, (size[0] // 4, size[1] // 4), drawn)
        return image

    def text(self, size, text, font, color, backdrop):
        image = Image.new("RGB", size, s.COLORS[backdrop])
        face = s.ImageFont.truetype(str(self.cache / "fonts" / font), int(min(size[1] * 0.7, 1.4 * size[0] / len(text))))
        s.ImageDraw.Draw(image).text((size[0] / 2, size[1] / 2), text, s.COLORS[color], font=face, anchor="mm")
        return image

    def cutout(self, name, style):
        return Image.fromarray(self.art.pixels[self.rows[name, STYLES[style]]])

    def photo(self, name, size):
        image = Image.open(self.cache / "photos" / f"{name}.png").convert("RGB")
        image.thumbnail(size)
        return image

    def save(self, name, image, **options):
        image.save(self.folder / name, **options)
        return name


def draw(p):
    """The 20 images: formats, modes, sizes and aspect ratios that a decoder and a resizer can get wrong."""
    words = "LiberationSans-Regular.ttf"
    p.save("dog.png", p.things((96, 96), "yellow", ("dog", 0, 0.5, 0.5, 0.8)))
    p.save("banana.png", p.things((200, 150), "blue", ("banana", 1, 0.5, 0.5, 0.8)))
    p.save("circle.png", p.shape((64, 64), "circle", "red", "white"))
    p.save("stop.jpg", p.text((300, 100), "STOP", words, "white", "red"), quality=90)
    p.save("number.webp", p.text((240, 120), "2407", words, "black", "yellow"), quality=80)
    p.save("grey-car.png", p.things((128, 96), "white", ("car", 2, 0.5, 0.5, 0.8)).convert("L"))
    p.save("palette-pizza.png", p.things((120, 120), "green", ("pizza", 2, 0.5, 0.5, 0.8)).quantize(64))
    p.save("alpha-frog.png", p.cutout("frog", 3))
    p.save("portrait.jpg", p.things((160, 240), "pink", ("guitar", 0, 0.5, 0.5, 0.9)), quality=85, subsampling="4:2:0")
    p.save("progressive.jpg", p.things((180, 180), "teal", ("elephant", 1, 0.5, 0.5, 0.8)), quality=50, progressive=True)
    p.save("lossless.webp", p.things((97, 131), "orange", ("clock", 2, 0.5, 0.5, 0.8)), lossless=True)
    p.save("wide.png", p.things((400, 100), "white", ("cat", 0, 0.2, 0.5, 0.8), ("bus", 0, 0.8, 0.5, 0.8)))
    p.save("tall.png", p.things((60, 200), "white", ("sun", 0, 0.5, 0.2, 0.8), ("fish", 0, 0.5, 0.8, 0.8)))
    p.save("large.jpg", p.things((640, 480), "purple", ("rocket", 1, 0.5, 0.5, 0.8)), quality=75)
    p.save("split-square.png", p.things((192, 192), "white", ("tree", 0, 0.25, 0.3, 0.4), ("house", 0, 0.7, 0.65, 0.5)))
    p.save("split-wide.jpg", p.text((400, 200), "GREEN", words, "green", "white"), quality=92)
    p.save("three.png", p.things((150, 150), "white", *[("strawberry", 1, x, y, 0.3) for x, y in ((0.2, 0.25), (0.75, 0.3), (0.5, 0.75))]))
    p.save("corner.gif", p.things((110, 90), "blue", ("star", 0, 0.82, 0.2, 0.35)).quantize(32))
    p.save("photo.jpg", p.photo("coffee", (240, 240)), quality=80)
    noise = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    p.save("noise.png", Image.fromarray(noise).resize((96, 96), Image.Resampling.NEAREST))


def ask(pictures, text):
    return {"role": "user", "content": [*({"type": "image_url", "image_url": {"url": n}} for n in pictures), {"type": "text", "text": text}]}


def cases():
    """(name, OpenAI messages, split); at least one case per image."""
    simple = [
        ("dog.png", "What is this?"), ("banana.png", "What colour is the background?"), ("circle.png", "what shape is in the image?"),
        ("stop.jpg", "What does it say?"), ("number.webp", "read the number"), ("grey-car.png", "Is there a car in the picture?"),
        ("palette-pizza.png", "What is in the picture?"), ("alpha-frog.png", "WHAT IS THIS"), ("portrait.jpg", "Name the object."),
        ("progressive.jpg", "What kind of thing is this?"), ("lossless.webp", "Describe the picture."), ("wide.png", "What is to the right of the cat?"),
        ("tall.png", "What is below the sun?"), ("large.jpg", "What do you see?"), ("three.png", "How many strawberries are there?"),
        ("corner.gif", "Where is the star?"), ("photo.jpg", "What is this?"), ("noise.png", "Describe this image."),
    ]
    for name, text in simple:
        yield name.split(".")[0], [ask([name], text)], False
    yield "split-square", [ask(["split-square.png"], "What is in the picture?")], True
    yield "split-wide", [ask(["split-wide.jpg"], "Read the word.")], True
    yield "split-whole", [ask(["split-square.png"], "Describe the picture.")], False
    yield "two-pictures", [ask(["dog.png", "banana.png"], "What is in the second picture?")], False
    yield "follow-up", [
        ask(["dog.png"], "What is this?"), {"role": "assistant", "content": "dog"}, {"role": "user", "content": "And what color is the background?"}], False
    yield "three-turns", [
        ask(["large.jpg"], "What is this?"), {"role": "assistant", "content": "rocket"},
        {"role": "user", "content": "what group does it belong to?"}, {"role": "assistant", "content": "vehicle"},
        {"role": "user", "content": "Is there a dog?"}], False
    yield "system", [{"role": "system", "content": "Answer briefly."}, ask(["three.png"], "how many things are there")], False
    yield "text-first", [{"role": "user", "content": [
        {"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": "progressive.jpg"}}]}], False
    yield "unanswerable", [ask(["dog.png"], "Who made this picture?")], False
    yield "no-picture", [{"role": "user", "content": "What is the capital of France?"}], False


def constrained_cases():
    """(name, OpenAI messages, the field of the request that constrains the answer, the same in Python)."""
    shape = {"thing": "string", "count": "integer"}
    schema = {"type": "object", "properties": {field: {"type": kind} for field, kind in shape.items()}, "required": list(shape)}
    response_format = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    yield "data-three", [ask(["three.png"], "Give me thing and count as JSON.")], {"response_format": response_format}, Fields(shape)
    names = ["pizza", "cat", "banana", "dog", "monkey"]
    yield "choice-banana", [ask(["banana.png"], "What is this?")], {"guided_choice": names}, Choices(names)


def template_messages(messages):
    """OpenAI messages in the shape that the chat template reads."""
    def parts(content):
        if isinstance(content, str):
            return [{"type": "text", "text": content}]
        return [{"type": "image"} if part["type"] == "image_url" else part for part in content]
    return [{"role": m["role"], "content": parts(m["content"])} for m in messages]


def opened(path):
    """RGB, with transparency laid on white."""
    image = Image.open(path)
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def picture_names(messages):
    return [part["image_url"]["url"] for m in messages if isinstance(m["content"], list) for part in m["content"] if part["type"] == "image_url"]


def top(logits):
    return [[int(i), round(float(logits[i]), 4)] for i in np.argsort(-logits)[:10]]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=HERE.parent / "models/glimpse")
    parser.add_argument("--out", type=Path, default=HERE.parent / "test/fixtures/glimpse")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    draw(Pictures(args.cache, args.out))
    q4, fp32 = Runner(args.model / "onnx", "_q4"), Runner(args.cache / "onnx", "")
    reference = {split: processor(args.model, do_image_splitting=split) for split in (False, True)}
    tokenizer = reference[False].tokenizer
    image_id, end = (tokenizer.convert_tokens_to_ids(t) for t in ("<image>", "<end_of_utterance>"))
    golden = {"versions": {"transformers": transformers.__version__, "pillow": PIL.__version__, "onnxruntime": onnxruntime.__version__},
              "cases": [], "constrained": [], "pixels": []}

    def prepared(messages, split):
        names = picture_names(messages)
        rendered = reference[split].apply_chat_template(template_messages(messages), add_generation_prompt=True)
        batch = reference[split](text=[rendered], images=[[opened(args.out / n) for n in names]] if names else None, return_tensors="np")
        pixels = batch.get("pixel_values")
        return rendered, batch["input_ids"][0].tolist(), None if pixels is None else pixels.astype(np.float32)

    said = lambda answer: {"ids": answer, "text": tokenizer.decode(answer, skip_special_tokens=True).strip()}
    for name, messages, split in cases():
        rendered, ids, pixels = prepared(messages, split)
        (answer,), (first,) = q4.greedy([ids], pixels, image_id, end)
        (full_answer,), (full_first,) = fp32.greedy([ids], pixels, image_id, end)
        golden["cases"].append({
            "name": name, "messages": messages, "split": split, "prompt": rendered, "input_ids": ids, "frames": 0 if pixels is None else pixels.shape[1],
            "answer": said(answer), "fp32_answer_ids": full_answer,
            "first_logits": {"q4": top(first), "fp32": top(full_first)},
        })
        if name in ("large", "alpha-frog", "split-square"):
            levels = np.round((pixels[0].transpose(0, 2, 3, 1) * 0.5 + 0.5) * 255).astype(np.uint8)
            (args.out / f"{name}.rgb.gz").write_bytes(gzip.compress(levels.tobytes(), mtime=0))
            golden["pixels"].append({"case": name, "image": picture_names(messages)[0], "split": split, "file": f"{name}.rgb.gz", "shape": list(levels.shape)})
    vocabulary = Vocabulary(tokenizer, end)
    for name, messages, field, grammar in constrained_cases():
        _, ids, pixels = prepared(messages, False)
        (answer,), _ = q4.greedy([ids], pixels, image_id, end, [Constrained(grammar, vocabulary)], 128)
        golden["constrained"].append({"name": name, "messages": messages, "split": False, "fields": field, "input_ids": ids, "answer": said(answer)})
    (args.out / "golden.json").write_text(json.dumps(golden, indent=1, ensure_ascii=False) + "\n")
    (args.out / "README.md").write_text(README)
    size = sum(f.stat().st_size for f in args.out.iterdir())
    print(f"{len(golden['cases'])} cases, {size / 1e3:.0f} kB; q4 and fp32 agree on {sum(c['answer']['ids'] == c['fp32_answer_ids'] for c in golden['cases'])}")


README = """# Golden files of glimpse

Written by `training/golden.py` from the files in `models/glimpse`; do not edit by hand.

`golden.json` has `cases`: OpenAI `messages` (an image is named by its file here), `split` (2 x 2 tiles and the whole image, or the whole image alone),
`prompt` (the rendered chat template), `input_ids` (after image-token expansion), `answer` (greedy ids of the q4 files, with the end token, at most 32),
`fp32_answer_ids`, and `first_logits`: the ten largest logits of the first step as [id, value]. `constrained` has requests with a constraint
in `fields`, answered by `training/constraint.py`, which the evaluation of such answers uses. `pixels` names raw images after preprocessing,
before normalisation: gzip of uint8 levels, crops x height x width x RGB (`shape`). Transparency is first blended on white.

The drawings are Noto Emoji (Google, Apache-2.0) and Fluent Emoji (Microsoft, MIT); the photo is scikit-image's `coffee` (Rachel Michetti, CC0).
"""


if __name__ == "__main__":
    main()
