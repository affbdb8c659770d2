"""Measures the shipped files on data never trained on and fills the table of the model card.

    python evaluate.py --cache DIR [--items 2000] [--suffix _q4] [--compare] [--card ../models/glimpse/README.md]

Every image goes through Idefics3ImageProcessorPil, every answer is decoded greedily from the ONNX files. `--compare` measures the fp32 graphs
too (they equal PyTorch to 1e-4, see test_export.py) and how often both give the same answer.
"""

import argparse
import hashlib
import itertools
import json
import random
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import fields
import messages
import phrases
import prompt
import questions as q
import scenes as s
from constraint import Choices, Constrained, Fields, Vocabulary
from export import write_json
from runner import Runner, processor
from samples import EasyVqa

HERE = Path(__file__).parent


@dataclass
class Question:
    images: list
    text: str
    answer: str | dict  # a dict of fields, each of which is an item of its own
    earlier: tuple = ()  # questions of the turns before; the model answers them itself
    split: bool = False
    grammar: Fields | Choices | None = None
    system: str | None = None


def exact(told, answer):
    tidy = lambda t: t.lower().strip().rstrip(".")
    return tidy(told) == tidy(answer)


def right(told, question):
    """How many items are right, of how many."""
    if isinstance(question.answer, str):
        return exact(told, question.answer), 1
    try:
        fields_told = json.loads(told)
    except ValueError:  # cut off
        fields_told = {}
    return sum(fields_told.get(name) == value for name, value in question.answer.items()), len(question.answer)


def draw(make, rng, *wanted):
    """The first scene and question about it whose skill is wanted."""
    while True:
        scene, art = make(rng)
        found = [c for c in q.candidates(art, scene, rng) if c[0] in wanted]
        if found:
            return scene, rng.choice(found)


class Rows:
    """Each method yields endless questions of one row."""

    def __init__(self, cache):
        self.seen, self.style, self.fonts = (s.Art(cache, split) for split in ("test", "held-out style", "held-out fonts"))
        self.easy = EasyVqa(cache, held_out=True)

    def make(self, *kinds, n=None, longest=None):
        def scene(rng):
            kind = rng.choice(kinds)
            if kind == "things":
                return s.things_scene(self.seen, rng, n=n, longest=longest, augment=False), self.seen
            if kind == "shapes":
                return s.shapes_scene(self.seen, rng, n=n, longest=longest), self.seen
            return s.text_scene(self.fonts, rng, longest=longest), self.fonts
        return scene

    def skill(self, rng, make, *wanted, split=False):
        while True:
            scene, (_, text, answer) = draw(make, rng, *wanted)
            yield Question([scene.image], q.dress(text, rng), answer, split=split)

    def easy_vqa(self, rng):
        for picture in self.easy.pictures:
            for _, text, answer in self.easy.questions[picture]:
                yield Question([self.easy.image(picture)], text, answer)

    def naming(self, rng):
        return self.skill(rng, self.make("things", n=1), "name")

    def naming_split(self, rng):
        return self.skill(rng, self.make("things", n=1, longest=192), "name", split=True)

    def held_out_style(self, rng):
        return self.skill(rng, lambda r: (s.things_scene(self.style, r, n=1, augment=False), self.style), "name")

    def counting(self, rng):
        return self.skill(rng, lambda r: self.make("things", "shapes", n=r.randint(1, 5))(r), "count")

    def place(self, rng):
        return self.skill(rng, self.make("things", "shapes"), "place")

    def relation(self, rng):
        return self.skill(rng, self.make("things", "shapes", n=2), "relation", "side")

    def color(self, rng):
        return self.skill(rng, self.make("things", "shapes"), "color", "background")

    def group(self, rng):
        return self.skill(rng, self.make("things", n=1), "group")

    def presence(self, rng):
        return self.skill(rng, self.make("things", "shapes"), "presence")

    def reading(self, rng):
        return self.skill(rng, self.make("text"), "read")

    def reading_split(self, rng):
        return self.skill(rng, self.make("text", longest=192), "read", split=True)

    def two_pictures(self, rng, single=False):
        """The same questions about the same images, asked of the pair or of the one image."""
        make = self.make("things", "things", "shapes", "text")
        while True:
            k, pair = rng.randrange(2), [make(rng), make(rng)]
            scene, art = pair[k]
            found = [c for c in q.candidates(art, scene, rng) if c[0] in ("name", "read", "background")]
            if not found:
                continue
            skill, text, answer = rng.choice(found)
            asked = rng.choice(phrases.TWO_PICTURES[skill]).format(p=phrases.PICTURE[k])
            if single:
                yield Question([scene.image], q.dress(text, rng), answer)
            else:
                yield Question([p[0].image for p in pair], q.dress(asked, rng), answer)

    def two_pictures_single(self, rng):
        return self.two_pictures(rng, single=True)

    def follow_up(self, rng, single=False):
        make = self.make("things", "shapes", n=1)
        while True:
            scene, art = make(rng)
            (_, first, _), (skill, text, answer) = q.follow_up(art, scene, rng)
            if single:
                direct = rng.choice(phrases.QUESTIONS[skill]).format(n=scene.items[0].name if scene.kind == "things" else "shape")
                yield Question([scene.image], q.dress(direct, rng), answer)
            else:
                yield Question([scene.image], q.dress(text, rng), answer, earlier=(q.dress(first, rng),))

    def follow_up_single(self, rng):
        return self.follow_up(rng, single=True)

    def unanswerable(self, rng, questions=phrases.UNSEEN_UNANSWERABLE):
        make = self.make("things", "shapes", "text")
        while True:
            yield Question([make(rng)[0].image], q.dress(q.unanswerable(rng, questions)[1], rng), phrases.CANNOT_TELL)

    def unanswerable_others(self, rng):
        return self.unanswerable(rng, phrases.OTHERS_UNANSWERABLE)

    def not_a_drawing(self, scene, rng):
        while True:
            made = scene(self.seen, rng)
            yield Question([made.image], q.dress(q.candidates(self.seen, made, rng)[0][1], rng), phrases.CANNOT_TELL)

    def photos(self, rng):
        return self.not_a_drawing(s.photo_scene, rng)

    def noise(self, rng):
        return self.not_a_drawing(s.noise_scene, rng)

    def fields(self, rng):
        make = self.make("things", "things", "shapes", "text")
        while True:
            scene, art = make(rng)
            known = {field: value for field, value in fields.facts(art, scene).items() if field in FIELDS and value not in (None, "")}
            wanted = {name: known[name] for name in rng.sample(list(known), rng.randint(1, len(known)))}
            if rng.random() < 0.5:
                text = rng.choice(fields.UNSEEN_PLAIN)
            else:
                text = fields.as_json({name: (name, value) for name, value in wanted.items()}, rng, fields.UNSEEN_AS_JSON)
            yield Question([scene.image], fields.spelled(text, rng), wanted, grammar=Fields({name: FIELDS[name] for name in wanted}))

    def naming_choice(self, rng):
        """The questions of `naming`, with all names as the choices."""
        every = Choices(self.seen.names)
        for question in self.naming(random.Random("evaluate naming")):
            yield replace(question, grammar=every)

    def choice_of_ten(self, rng):
        for question in self.naming(rng):
            others = rng.sample([name for name in self.seen.names if name != question.answer], 9)
            yield replace(question, grammar=Choices([question.answer, *others]))

    def system_message(self, rng):
        """Any question; the answer that counts as right is the one without a system message."""
        kinds = [self.naming, self.counting, self.place, self.color, self.group, self.presence, self.relation, self.reading, self.unanswerable]
        streams = [kind(rng) for kind in kinds]
        while True:
            yield replace(next(rng.choice(streams)), system=rng.choice(messages.UNSEEN))


FIELDS = {"thing": "string", "group": "string", "color": "string", "count": "integer", "text": "string", "where": "string"}

TABLE = [  # (row, title, bar)
    ("easy_vqa", "easy-VQA, held-out tenth of the training images, all their questions", "98 %"),
    ("naming", "naming one thing, art styles seen in training, unseen scenes", "90 %"),
    ("held_out_style", "naming, art style held out of training (Twemoji): top-1", "30 %"),
    ("held_out_style_top5", "the same: top-5", "55 %"),
    ("counting", "counting, one to five", "95 %"),
    ("place", "place", "95 %"),
    ("color", "colour of shape or background", "95 %"),
    ("reading", "words and numbers of 1 to 6 characters, three fonts held out", "90 %"),
    ("two_pictures", "two images in one message (name, read, background)", "within 3 points of the next line"),
    ("two_pictures_single", "the same kinds of question, one image", ""),
    ("follow_up", "follow-up turn (place, group, colour, background)", "within 3 points of the next line"),
    ("follow_up_single", "the same kinds of question, asked directly", ""),
    ("unanswerable", "says it cannot tell: questions outside its skills, phrasings never trained", "90 %"),
    ("unanswerable_others", "the same: sixty questions by somebody who had seen none of ours", ""),
    ("photos", "says it cannot tell: photos never trained on", "90 %"),
    ("noise", "says it cannot tell: noise", "90 %"),
    ("refused", "wrongly says it cannot tell, over all answerable rows", "at most 3 %"),
    ("presence", "yes/no presence, half of the absent things of a present group", ""),
    ("group", "group", ""),
    ("relation", "left of, right of, above, below; what is on a side", ""),
    ("naming_split", "naming, split mode", ""),
    ("reading_split", "reading, split mode", ""),
    ("fields", "data: fields right under a schema (thing, group, color, count, text, where: any of them, any order)", "90 %"),
    ("choice_of_ten", "`guided_choice` among ten names", "95 %"),
    ("naming_choice", "naming by `guided_choice` of all 223 names", "naming, above"),
    ("system_message", "the same answer under the system messages of other chat programs, none of them trained", "97 %"),
]
REFUSALS = ("unanswerable", "unanswerable_others", "photos", "noise")
NEVER_REFUSED = ("fields", "choice_of_ten", "naming_choice")
MOST_CONSTRAINED = 128  # tokens


BATCH = 32


class Answerer:
    def __init__(self, args):
        self.runners = {args.suffix: Runner(args.model / "onnx", args.suffix)}
        if args.compare:
            self.runners["fp32"] = Runner(args.cache / "onnx", "")
        self.reference = {split: processor(args.model, do_image_splitting=split).image_processor for split in (False, True)}
        self.tokenizer = processor(args.model).tokenizer
        self.image_id, self.end = (self.tokenizer.convert_tokens_to_ids(t) for t in ("<image>", "<end_of_utterance>"))
        self.vocabulary = Vocabulary(self.tokenizer, self.end)

    def prepare(self, question):
        """(pixels, the prompt up to the first question)."""
        batch = self.reference[question.split]([question.images], return_tensors="np", return_row_col_info=True)
        pictures = [prompt.picture(r, c) for r, c in zip(batch["rows"][0], batch["cols"][0])]
        return batch["pixel_values"].astype(np.float32), prompt.opening(pictures, question.system)

    def answers(self, runner, questions, prepared):
        texts = [opening for _, opening in prepared]
        for turn in range(len(questions[0].earlier)):
            asked = [text + question.earlier[turn] + prompt.ASK for text, question in zip(texts, questions)]
            texts = [text + told + prompt.END + prompt.NEXT for text, told in zip(asked, self.say(runner, asked, prepared))]
        asked = [text + question.text + prompt.ASK for text, question in zip(texts, questions)]
        return self.say(runner, asked, prepared, [question.grammar for question in questions])

    def say(self, runner, texts, prepared, grammars=None):
        """Greedy answers; prompts of one length go through the model together. All of `grammars` are None, or none."""
        ids = self.tokenizer(texts)["input_ids"]
        lengths, told = {}, [None] * len(texts)
        for i, row in enumerate(ids):
            lengths.setdefault((len(row), prepared[i][0].shape), []).append(i)
        for members in lengths.values():
            for start in range(0, len(members), BATCH):
                part = members[start : start + BATCH]
                pixels, options = np.concatenate([prepared[i][0] for i in part]), {}
                if grammars and grammars[0]:
                    options = dict(constrained=[Constrained(grammars[i], self.vocabulary) for i in part], most=MOST_CONSTRAINED)
                answers, _ = runner.greedy([ids[i] for i in part], pixels, self.image_id, self.end, **options)
                for i, answer in zip(part, answers):
                    told[i] = self.tokenizer.decode(answer, skip_special_tokens=True)
        return told

    def with_own_answers(self, questions, label):
        """The same questions, with what the model says without a system message as the answer."""
        bare = [replace(question, system=None) for question in questions]
        told = self.answers(self.runners[label], bare, [self.prepare(question) for question in bare])
        return [replace(question, answer=answer) for question, answer in zip(questions, told)]

    def top5(self, runner, question, prepared, names):
        pixels, opening = prepared
        ids = self.tokenizer(opening + question.text + prompt.ASK)["input_ids"]
        scores = runner.score(ids, pixels, self.image_id, [self.tokenizer(f" {n}{prompt.END}")["input_ids"] for n in names])
        return question.answer in [names[i] for i in np.argsort(-scores)[:5]]


def measure(args, weights):
    """Measures the rows that have no result for these weights yet; each result is a file, so that runs resume and share the work."""
    rows, answerer = Rows(args.cache), Answerer(args)
    for row in [name for name, *_ in TABLE if hasattr(rows, name) and (not args.rows or name in args.rows)]:
        if (weights / f"{row}.json").exists():
            continue
        begun = time.monotonic()
        questions = list(itertools.islice(getattr(rows, row)(random.Random(f"evaluate {row}")), args.items))
        if row == "system_message":
            questions = answerer.with_own_answers(questions, args.suffix)
        prepared = [answerer.prepare(question) for question in questions]
        told = {label: answerer.answers(runner, questions, prepared) for label, runner in answerer.runners.items()}
        graded = {label: [right(t, question) for t, question in zip(told[label], questions)] for label in told}
        result = {"items": sum(items for _, items in graded[args.suffix]), "asked": len(questions),
                  "same": sum(len(set(answers)) == 1 for answers in zip(*told.values()))}
        for label in told:
            result[label] = {
                "right": sum(count for count, _ in graded[label]),
                "refused": sum(exact(t, phrases.CANNOT_TELL) for t in told[label]),
            }
        if row == "held_out_style":
            result["top5"] = sum(answerer.top5(answerer.runners[args.suffix], question, ready, rows.style.names)
                                 for question, ready in zip(questions, prepared))
        write_json(weights / f"{row}.json", result)
        shares = "  ".join(f"{label} {result[label]['right'] / result['items']:.3f}" for label in told)
        print(f"{row:22} {shares}  "
              f"{result['items']} items, {time.monotonic() - begun:.0f} s", flush=True)
        if args.show:
            print("   ", [(question.text, question.answer, t) for question, t in list(zip(questions, told[args.suffix]))[: args.show]])


def summary(weights, label):
    """{row: (share, items)} from the files of the rows measured so far."""
    files = {f.stem: json.loads(f.read_text()) for f in sorted(weights.glob("*.json"))}
    rows = {row: (r[label]["right"] / r["items"], r["items"]) for row, r in files.items()}
    if "held_out_style" in files:
        rows["held_out_style_top5"] = (files["held_out_style"]["top5"] / files["held_out_style"]["items"], files["held_out_style"]["items"])
    answerable = [r for row, r in files.items() if row not in (*REFUSALS, *NEVER_REFUSED, "system_message")]
    if answerable:
        asked = sum(r["items"] for r in answerable)
        rows["refused"] = (sum(r[label]["refused"] for r in answerable) / asked, asked)
    return rows, sum(r["same"] for r in files.values()) / max(1, sum(r["asked"] for r in files.values()))


def fill_card(card, rows):
    lines = ["| what | at least | measured | items |", "|---|---|---|---|"]
    for row, title, bar in TABLE:
        if row in rows:
            lines.append(f"| {title} | {bar} | {100 * rows[row][0]:.1f} % | {rows[row][1]:,} |")
    start, end = "<!-- table: written by training/evaluate.py -->\n", "<!-- end of table -->"
    before, rest = card.read_text().split(start)
    card.write_text(before + start + "\n".join(lines) + "\n" + end + rest.split(end)[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=HERE.parent / "models/glimpse")
    parser.add_argument("--suffix", default="_q4")
    parser.add_argument("--items", type=int, default=2000)
    parser.add_argument("--rows", nargs="*")
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--show", type=int, default=0, help="print this many answers of each row")
    parser.add_argument("--card", type=Path, help="the model card whose table is to be filled")
    args = parser.parse_args()
    digest = hashlib.sha256((args.model / f"onnx/decoder_model_merged{args.suffix}.onnx").read_bytes()).hexdigest()[:12]
    weights = args.cache / f"evaluation/{digest}-{args.items}{'-compare' if args.compare else ''}"
    weights.mkdir(parents=True, exist_ok=True)
    measure(args, weights)
    rows, agreement = summary(weights, args.suffix)
    if args.compare:
        full, _ = summary(weights, "fp32")
        worst = max(full, key=lambda row: full[row][0] - rows[row][0] if row != "refused" else -1)
        print(f"the same answer from both in {100 * agreement:.2f} %; largest loss {100 * (full[worst][0] - rows[worst][0]):.2f} points ({worst})")
    if args.card:
        fill_card(args.card, rows)


if __name__ == "__main__":
    main()
