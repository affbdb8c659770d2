"""Gathers the raw material into the cache folder: drawings, fonts, photos, words, easy-VQA; then trains the tokenizer.

    python data.py --cache DIR --easy-vqa easy-vqa-train.tar [--packages DIR/packages] [--photos DIR ...]

Drawings come from npm packages (package.json), fonts and photos from Debian packages (README.md names them).
"""

import argparse
import json
import random
import shutil
import subprocess
import tarfile
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

import phrases
import prompt
from model import CONTEXT, VOCAB
from scenes import COLORS, SHAPES, read_things

HERE = Path(__file__).parent
FONTS = [  # file names as Debian's packages install them; all under the OFL, Apache-2.0, MIT, BSD or Bitstream Vera licence
    "Lato-Regular.ttf", "Lato-Black.ttf", "OpenSans-Regular.ttf", "OpenSans-Bold.ttf", "Roboto-Regular.ttf", "Roboto-Bold.ttf",
    "LiberationSans-Regular.ttf", "LiberationSerif-Regular.ttf", "LiberationSerif-Bold.ttf", "LiberationMono-Regular.ttf",
    "DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSerif.ttf", "DejaVuSansMono.ttf", "Inconsolata.otf", "FiraCode-Regular.ttf",
    "JetBrainsMono-Regular.ttf", "Cantarell-Regular.otf", "Cabin-Regular.otf", "Comfortaa-Regular.ttf", "ComicNeue-Regular.otf",
    "Carlito-Regular.ttf", "Carlito-Bold.ttf", "Caladea-Regular.ttf", "Dosis-Book.otf", "EBGaramond12-Regular.otf",
    "OldStandard-Regular.ttf", "Play-Regular.ttf", "Quicksand-Regular.ttf", "BebasNeue-Regular.otf", "allerta_medium.otf",
    "Courier Prime.otf", "LeagueSpartan-Bold.otf", "Manrope-Regular.ttf", "Junction.otf", "Inter-Regular.otf",
    "Jura-Medium.otf", "B612Mono-Regular.otf", "Go-Regular.ttf", "Go-Mono.ttf", "NotoSansMono-Regular.ttf",
    "YanoneKaffeesatz-Regular.otf", "lobster.otf",
    "Karla-Regular.otf", "Vollkorn-Regular.ttf", "Hack-Regular.ttf",  # held out of training (scenes.HELD_OUT_FONTS)
]
PHOTOS = {  # public domain, CC0 or CC-BY-4.0; authors in the model card
    "lomiri-wallpapers-16.04": ["aitzgorri_by_*.jpg", "friends_by_*.jpg", "life_by_*.jpg", "picosdeeuropa_by_*.jpg", "Picture_0B_*.jpg",
                                "Picture_1A_*.jpg", "seeding_by_*.jpg", "sunset_by_*.jpg", "umang_by_*.jpg", "Wine_by_*.jpg"],
    "python3-skimage": ["astronaut.png", "brick.png", "camera.png", "chelsea.png", "coffee.png", "coins.png", "grass.png", "gravel.png",
                        "hubble_deep_field.jpg", "moon.png"],
}
SPECIALS_FIRST = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
SPECIALS_LAST = [
    "<global-img>", *(f"<row_{r}_col_{c}>" for r in range(1, 7) for c in range(1, 7)), "<fake_token_around_image>", "<image>",
    "<end_of_utterance>",
]


def gather_fonts(cache):
    (cache / "fonts").mkdir(exist_ok=True)
    for name in FONTS:
        for found in sorted(Path("/usr/share/fonts").rglob(name))[:1]:
            shutil.copy(found, cache / "fonts" / found.name)
    return len(list((cache / "fonts").iterdir()))


def gather_photos(cache, folders):
    """Copies the photos, reduced to at most 800 pixels, from unpacked Debian packages."""
    from PIL import Image
    (cache / "photos").mkdir(exist_ok=True)
    for pattern in [p for patterns in PHOTOS.values() for p in patterns]:
        for folder in folders:
            for found in sorted(Path(folder).rglob(pattern))[:1]:
                image = Image.open(found).convert("RGB")
                image.thumbnail((800, 800))
                image.save(cache / "photos" / f"{found.stem}.png")
    return len(list((cache / "photos").iterdir()))


def gather_words(cache, packages):
    """Everyday words of at most six letters: emoji labels and keywords."""
    emoji = json.loads((packages / "node_modules/emojibase-data/en/data.json").read_text())
    words = {w for e in emoji for text in [e["label"], *e.get("tags", [])] for w in text.lower().replace("-", " ").split()}
    words = sorted(w for w in words if w.isascii() and w.isalpha() and 2 <= len(w) <= 6)
    (cache / "words.txt").write_text("\n".join(words))
    return len(words)


def corpus():
    """Text for the tokenizer: every phrasing filled with every kind of name, and all answers."""
    rng = random.Random(0)
    things = read_things()
    for _ in range(40000):
        thing, color = rng.choice(things), rng.choice(list(COLORS))
        table = rng.choice([phrases.QUESTIONS, phrases.QUESTIONS, phrases.TWO_PICTURES, phrases.FOLLOW_UP])
        question = rng.choice(table[rng.choice(list(table))]).format(
            a=phrases.article(thing.name), s=thing.plural, n=thing.name, c=color, p=rng.choice(phrases.PICTURE),
            side=rng.choice(["left", "right", "top", "bottom"]), rel=rng.choice(["left of", "to the right of", "above", "below"]))
        dressed = phrases.dress(question, rng)
        yield (question if dressed.isupper() else dressed) + "\n"  # capitals stay single letters, which is how words are read out
        yield "Assistant: " + rng.choice([
            thing.name, thing.group, color, rng.choice(phrases.NUMBERS), rng.choice(list(phrases.PLACES.values())), rng.choice(["yes", "no"]),
            f"{phrases.article(thing.name)} on {phrases.article(color)} background", f"{rng.choice(phrases.NUMBERS)} {thing.plural}",
            f"a {color} {rng.choice(SHAPES)} and a {rng.choice(SHAPES)}", phrases.CANNOT_TELL, 'a text that says "', "the first", "the second"])
        yield rng.choice(["User: ", "System: " + rng.choice(phrases.SYSTEM)])
    for thing in things * 20:
        yield f" {thing.name} {thing.plural}"


def train_tokenizer(out):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    tokenizer.decoder = decoders.ByteLevel()
    base = VOCAB - len(SPECIALS_LAST)
    tokenizer.train_from_iterator(corpus(), trainers.BpeTrainer(
        vocab_size=base, min_frequency=2, special_tokens=SPECIALS_FIRST, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False))
    reserved = [f"<|reserved_special_token_{i}|>" for i in range(base - tokenizer.get_vocab_size())]
    specials = SPECIALS_LAST[:-1] + reserved + SPECIALS_LAST[-1:]
    tokenizer.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in specials])
    assert tokenizer.get_vocab_size() == VOCAB
    out.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(out / "tokenizer.json"))
    write_tokenizer_config(tokenizer, out)
    return len(reserved)


def write_tokenizer_config(tokenizer, out):
    def entry(content):
        return {"content": content, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False}

    added = {s: tokenizer.token_to_id(s) for s in [*SPECIALS_FIRST, *SPECIALS_LAST]}
    added |= {t: i for t, i in tokenizer.get_vocab().items() if t.startswith("<|reserved")}
    extra = ["<fake_token_around_image>", "<image>", "<end_of_utterance>"]
    write_json(out / "tokenizer_config.json", {
        "add_prefix_space": False,
        "added_tokens_decoder": {str(i): {**entry(t), "special": True} for t, i in sorted(added.items(), key=lambda p: p[1])},
        "additional_special_tokens": extra,
        "bos_token": "<|im_start|>", "chat_template": prompt.CHAT_TEMPLATE, "clean_up_tokenization_spaces": False,
        "eos_token": "<end_of_utterance>", "legacy": False, "model_max_length": CONTEXT, "pad_token": "<|im_end|>",
        "processor_class": "Idefics3Processor", "tokenizer_class": "GPT2Tokenizer", "truncation_side": "left",
        "unk_token": "<|endoftext|>", "vocab_size": VOCAB,
    })
    write_json(out / "special_tokens_map.json", {
        "additional_special_tokens": [entry(t) for t in extra], "bos_token": entry("<|im_start|>"), "eos_token": entry("<|im_end|>"),
        "pad_token": entry("<|im_end|>"), "unk_token": entry("<|endoftext|>"),
    })


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--easy-vqa", type=Path, required=True, help="the data set's training split as a tar of train/")
    parser.add_argument("--packages", type=Path, help="folder where package.json was installed (default: CACHE/packages)")
    parser.add_argument("--photos", type=Path, nargs="*", default=[Path("/usr")], help="where Debian's packages are installed or unpacked")
    args = parser.parse_args()
    args.cache = args.cache.resolve()  # draw.mjs finds its packages by absolute paths
    packages = (args.packages or args.cache / "packages").resolve()
    for folder in args.photos:
        if folder.resolve().is_relative_to(args.cache / "photos"):
            parser.error(f"{folder} is where the reduced photos go: unpack Debian's packages into another folder, such as {args.cache / 'unpacked'}")
    args.cache.mkdir(parents=True, exist_ok=True)
    if not (args.cache / "sprites.json").exists():
        subprocess.run(["node", HERE / "draw.mjs", HERE / "things.txt", packages, args.cache], check=True)
    print(gather_fonts(args.cache), "fonts,", gather_photos(args.cache, args.photos), "photos,", gather_words(args.cache, packages), "words")
    if not (args.cache / "train").exists():
        with tarfile.open(args.easy_vqa) as tar:
            tar.extractall(args.cache, [m for m in tar.getmembers() if m.name.startswith("train/")], filter="data")
    print(train_tokenizer(args.cache / "tokenizer"), "reserved tokens")


if __name__ == "__main__":
    main()
