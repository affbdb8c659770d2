"""Training samples: pictures as frames, conversations as token ids, and what each token may see and must predict."""

import json
import random
import re
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer

import fields
import messages
import prompt
import questions as q
import scenes as s
from model import IMAGE, SHUFFLE

IGNORE = -100
LENGTH = 96  # no further conversation is packed on a picture beyond so many tokens
AS_WRITTEN = {"easy-vqa", "fields", "json", "choice"}  # questions whose spelling is settled
FOREIGN = 0.3  # share of the last stage's samples under another program's system message
PLAIN = 0.75  # share of its conversations without answers as data (0.4 until step 5,400): with fewer, old answers get worse
WINDOW = 4  # so many batches are drawn together and sorted by length, so that little of a batch is padding
LONGEST = 2 * IMAGE  # preprocessor_config.json: size.longest_edge


def to_longest(image):
    """The processor's first resize."""
    w, h = image.size
    size = (LONGEST, max(1, int(LONGEST / (w / h)))) if w >= h else (max(1, int(LONGEST * (w / h))), LONGEST)
    if w >= h and size[1] % 2:
        size = (size[0], size[1] + 1)
    elif h > w and size[0] % 2:
        size = (size[0] + 1, size[1])
    return image.resize(size, Image.Resampling.LANCZOS)


def whole(image):
    if image.size == (IMAGE, IMAGE):
        return [image]  # the processor would scale up and down again, which changes next to nothing
    return [to_longest(image).resize((IMAGE, IMAGE), Image.Resampling.LANCZOS)]


def split(image):
    """Tiles and then the global view, as Idefics3ImageProcessor cuts them; returns (frames, rows, columns)."""
    image = to_longest(image)
    w, h = image.size
    up = lambda v: -(-v // IMAGE) * IMAGE
    if w >= h:
        size = (up(w), up(int(up(w) / (w / h))))
    else:
        size = (up(int(up(h) * (w / h))), up(h))
    image = image.resize(size, Image.Resampling.LANCZOS)
    cols, rows = size[0] // IMAGE, size[1] // IMAGE
    tiles = [image.crop((c * IMAGE, r * IMAGE, (c + 1) * IMAGE, (r + 1) * IMAGE)) for r in range(rows) for c in range(cols)]
    return [*tiles, image.resize((IMAGE, IMAGE), Image.Resampling.LANCZOS)], rows, cols


@dataclass
class Sample:
    frames: list  # PIL pictures, IMAGE x IMAGE
    classes: list  # a (6, 12) class map or None for each frame
    ids: list
    groups: list  # 0: the shared opening, seen by all; n: conversation n
    targets: list  # token to predict at each place, or IGNORE
    looks: list  # (place, head, places of picture tokens that this head should look at): see Samples.looks


class EasyVqa:
    """The nine tenths of easy-VQA's training pictures that training may see, or the held-out tenth."""

    def __init__(self, cache, held_out):
        self.folder = cache / "train/images"
        table = json.loads((cache / "train/questions.json").read_text())
        self.questions = {}
        for question, answer, picture in table:
            if (picture % 10 == 0) == held_out:
                self.questions.setdefault(picture, []).append(("easy-vqa", question, answer))
        self.pictures = sorted(self.questions)

    def image(self, picture):
        return Image.open(self.folder / f"{picture}.png").convert("RGB")


class Samples:
    """`kind` is "vision" for scenes alone, "questions" for conversations, "data" for those with answers as data and foreign system messages."""

    def __init__(self, cache, kind="questions"):
        self.art = s.Art(cache)
        self.easy = EasyVqa(cache, held_out=False)
        self.tokenizer = Tokenizer.from_file(str(cache / "tokenizer/tokenizer.json"))
        self.kind = kind
        self.image_id = self.tokenizer.token_to_id("<image>")
        self.token_cache = {}

    def tokens(self, text):
        """The token ids of a text, and how many of its characters each token and those before it cover."""
        if text not in self.token_cache:
            if len(self.token_cache) > 100_000:
                self.token_cache.clear()
            encoded = self.tokenizer.encode(text)
            self.token_cache[text] = encoded.ids, [end for _, end in encoded.offsets]
        return self.token_cache[text]

    def encode(self, text):
        return self.tokens(text)[0]

    def scene(self, rng, longest=None, kinds=None):
        photos = 10 if self.kind == "data" else 5  # answers as data make the model less ready to say that it cannot tell
        kind = rng.choices(["things", "shapes", "text", "photo", "noise", "one thing"], kinds or [26, 12, 38, photos, 3, 16])[0]
        if kind == "one thing":
            return s.things_scene(self.art, rng, n=1, longest=longest)
        if kind == "text":  # long words are the hardest, because their characters are the smallest
            return s.text_scene(self.art, rng, longest=longest, drawn=rng.randint(1, 2))
        return getattr(s, f"{kind}_scene")(self.art, rng, longest=longest)

    def __getitem__(self, seed):
        rng = random.Random(seed)
        if self.kind == "vision":  # much text and many single things: the rest is easier once these are known
            if rng.random() < 0.1:
                scene = s.text_scene(self.art, rng, characters=rng.randint(1, 3))
            elif rng.random() < 0.5:
                scene = s.text_scene(self.art, rng, characters=rng.randint(4, 6), drawn=3)
            else:
                scene = self.scene(rng, kinds=[30, 12, 15, 3, 2, 38])
            return Sample(whole(scene.image), [scene.classes], [], [], [], [])
        form = rng.choices(["one", "easy", "two", "split", "question first", "text only"], [67, 9, 12, 4, 7, 1])[0]
        if form == "easy":
            picture = rng.choice(self.easy.pictures)
            asked = rng.sample(self.easy.questions[picture], min(6, len(self.easy.questions[picture])))
            groups = [[(a, question if rng.random() < 0.6 else q.dress(question, rng), c)] for a, question, c in asked]
            return self.assemble([prompt.picture()], whole(self.easy.image(picture)), [None], groups, rng)
        if form == "text only":
            return self.assemble([], [], [], [[q.unanswerable(rng)]], rng)
        if form == "two":
            return self.two(rng)
        if form == "split":
            scene = self.scene(rng, longest=rng.randint(150, 260), kinds=[50, 10, 34, 4, 2, 0])
            frames, rows, cols = split(scene.image)
            groups = self.conversations(scene, rng, 4)
            return self.assemble([prompt.picture(rows, cols)], frames, [None] * (len(frames) - 1) + [scene.classes], groups, rng)
        scene = self.scene(rng)
        groups = self.conversations(scene, rng, 5)
        return self.assemble([prompt.picture()], whole(scene.image), [scene.classes], groups, rng, scene, form == "question first")

    def conversations(self, scene, rng, turns):
        if self.kind != "data" or rng.random() < PLAIN:
            return q.conversations(self.art, scene, rng, turns, unanswerable_share=0.6 if self.kind == "data" else 0.35)
        plain = q.conversations(self.art, scene, rng, turns - 3)
        data = fields.turns(self.art, scene, rng)
        if data and rng.random() < 0.15:  # a turn of the one kind after one of the other
            first, second = rng.choice([(plain[0], data[:1]), (data[:1], plain[0])])
            return [[*first, *second], *plain[1:], *([turn] for turn in data[1:])]
        return [*([turn] for turn in data), *plain] if rng.random() < 0.5 else [*plain, *([turn] for turn in data)]

    def system_message(self, rng):
        if self.kind == "data" and rng.random() < FOREIGN:
            return messages.foreign_message(rng, self.art.words)
        return q.system_message(rng)

    def two(self, rng):
        pair = [self.scene(rng), self.scene(rng)]
        asked = [turn for _ in range(6) if (turn := q.two_picture_question(self.art, pair, rng))]
        groups = [[turn] for turn in dict.fromkeys(asked)]
        if len(groups) > 2 and rng.random() < 0.3:
            groups = [groups[0] + groups[1], *groups[2:]]
        groups = groups or [[q.unanswerable(rng)]]
        frames = [whole(scene.image)[0] for scene in pair]
        return self.assemble([prompt.picture()] * 2, frames, [scene.classes for scene in pair], groups, rng)

    def looks(self, scene, ask, told):
        """Where one turn should look: (tokens into the turn, head, cells of the 3 x 3 picture tokens).

        The last token of a thing's name looks at that thing, with head 0; the token before each character that is read
        looks at that character, with head 1. Without this the decoder takes long to find out that names mean places."""
        found = []
        asked, ends = self.tokens(ask)
        for name in {item.name for item in scene.items}:
            for match in re.finditer(rf"\b({re.escape(q.plural(self.art, name))}|{re.escape(name)})\b", ask, re.IGNORECASE):
                colored = [i for i in scene.items if i.name == name and i.color and i.color in ask.lower()]
                cells = {cell for i in colored or scene.items if i.name == name for cell in cells_of(scene, i)}
                found.append((next(k for k, end in enumerate(ends) if end >= match.end()), 0, cells))
        answer, ends = self.tokens(told)
        within = f': "{scene.text}"'  # a field of JSON
        first = told.index(within) + 3 if within in told else told == f" {scene.text}{prompt.END}"  # behind the space
        if scene.letters and first:
            for k, (start, end) in enumerate(zip([0, *ends], ends)):
                letters = scene.letters[max(0, start - first) : max(0, end - first)]
                if letters:
                    found.append((len(asked) + k - 1, 1, {cell_at(x, y) for x, y in letters}))
        return found

    def assemble(self, pictures, frames, classes, groups, rng, scene=None, question_first=False):
        groups = [[(skill, q.dress(question, rng) if skill not in AS_WRITTEN else question, answer) for skill, question, answer in group] for group in groups]
        system = self.system_message(rng)
        if question_first:
            groups = [sum(groups, [])[:3]]
        start = prompt.opening(pictures, system, groups[0][0][1] if question_first else None)
        sample = Sample(frames, classes, list(self.encode(start)), [], [], [])
        length = LENGTH if self.kind != "data" else len(sample.ids) + LENGTH
        sample.groups = [0] * len(sample.ids)
        sample.targets = [IGNORE] * len(sample.ids)
        for number, group in enumerate(groups, 1):
            room = length - len(sample.ids)
            if number > 1 and room < sum(len(self.encode(question)) + len(self.encode(answer)) + 6 for _, question, answer in group):
                continue
            for turn, (skill, question, answer) in enumerate(group):
                lead = "" if turn == 0 else prompt.NEXT
                ask = lead + ("" if question_first and turn == 0 else question) + prompt.ASK
                answer = " " + answer + prompt.END
                asked, told = self.encode(ask), self.encode(answer)
                if scene and not question_first:
                    cells = [k for k, token in enumerate(sample.ids) if token == self.image_id]
                    sample.looks += [(len(sample.ids) + k, head, [cells[c] for c in at]) for k, head, at in self.looks(scene, ask, answer)]
                sample.ids += asked + told
                sample.groups += [number] * (len(asked) + len(told))
                # the target of a token is the token after it
                learned = self.learned(answer) if skill == "fields" else told
                sample.targets += [IGNORE] * (len(asked) - 1) + learned + [IGNORE]
        return sample

    def learned(self, told):
        """The tokens of JSON that nothing in the chat asks for: what the constraint forces is not the model's to say."""
        ids, ends = self.tokens(told)
        spans = [(start + 1, end + 1) for start, end in fields.sampled_spans(told[1:].removesuffix(prompt.END))]
        spans.append((len(told) - len(prompt.END), len(told)))
        return [token if any(start < b and a < end for a, b in spans) else IGNORE for token, start, end in zip(ids, [0, *ends], ends)]


def cell_at(x, y):
    """The picture token that shows a point, given as fractions, of a whole picture."""
    side = s.GRID // SHUFFLE
    return min(side - 1, max(0, int(y * side))) * side + min(side - 1, max(0, int(x * side)))


def cells_of(scene, item):
    """The picture tokens whose centre a thing covers, and the one that its own centre is in."""
    w, h = scene.image.size
    side, edge = s.GRID // SHUFFLE, min(w, h)
    centres = [(c, (c % side + 0.5) / side, (c // side + 0.5) / side) for c in range(side * side)]
    covered = {c for c, x, y in centres if abs(x - item.x) * w < item.size * edge / 2 and abs(y - item.y) * h < item.size * edge / 2}
    return covered | {cell_at(item.x, item.y)}


def collate(samples):
    frames = [np.asarray(f) for sample in samples for f in sample.frames]
    pixels = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)
    blank = np.full((s.GRID, 2 * s.GRID), IGNORE)
    classes = torch.from_numpy(np.stack([blank if c is None else c for sample in samples for c in sample.classes])).reshape(-1, s.GRID**2, 2)
    batch = {"pixels": pixels, "classes": classes}
    if samples[0].ids:
        longest = max(len(sample.ids) for sample in samples)
        pad = lambda rows, value: torch.tensor([row + [value] * (longest - len(row)) for row in rows])
        groups = pad([sample.groups for sample in samples], -1)
        opening = (groups == 0).sum(1, keepdim=True)
        order = torch.arange(longest)
        start = torch.where(groups.unsqueeze(2) == groups.unsqueeze(1), order, longest).amin(2)  # where each token's conversation starts
        positions = torch.where(groups > 0, order - start + opening, order.expand_as(groups))
        sees = (groups.unsqueeze(1) == 0) | (groups.unsqueeze(1) == groups.unsqueeze(2))
        batch |= {
            "ids": pad([sample.ids for sample in samples], 2), "targets": pad([sample.targets for sample in samples], IGNORE),
            "positions": positions.clamp(max=longest - 1), "mask": sees & torch.ones(longest, longest, dtype=torch.bool).tril(),
        }
        places = [(row, head, place) for row, sample in enumerate(samples) for place, head, _ in sample.looks]
        batch["looks"] = torch.tensor(places).reshape(-1, 3).unbind(1)
        batch["seen"] = torch.zeros(len(places), longest, dtype=torch.bool)
        for row, at in zip(batch["seen"], (at for sample in samples for _, _, at in sample.looks)):
            row[at] = True
    return batch


class Stream(torch.utils.data.Dataset):
    """An endless, seeded stream: batch n is the same whenever it is asked for, so training resumes where it stopped."""

    def __init__(self, cache, batch, seed, kind):
        self.cache, self.batch, self.seed, self.kind = cache, batch, seed, kind
        self.samples, self.window, self.drawn = None, None, []

    def __len__(self):
        return 10**9

    def __getitem__(self, index):
        if self.samples is None:  # in the worker, so that memory maps and fonts are not pickled
            self.samples = Samples(self.cache, self.kind)
        if self.kind == "vision":
            return collate(self.draw(index, self.batch))
        if index // WINDOW != self.window:
            self.window = index // WINDOW
            self.drawn = sorted(self.draw(self.window, WINDOW * self.batch), key=lambda sample: len(sample.ids))
        part = index % WINDOW * self.batch
        return collate(self.drawn[part : part + self.batch])

    def draw(self, number, size):
        first = (self.seed << 40) + number * size
        return [self.samples[first + i] for i in range(size)]
