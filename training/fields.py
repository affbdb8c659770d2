"""Answers as data: fields as JSON for a schema, and choices among given names."""

import json
import re

from phrases import NUMBERS, QUESTIONS, article

# A field under the names that schemas give it: the first is the usual one.
NAMES = {
    "thing": ["thing", "name", "object", "item", "label"],
    "group": ["group", "category", "kind", "class"],
    "color": ["color", "colour", "shape_color"],
    "background": ["background", "background_color"],
    "count": ["count", "number", "quantity", "how_many"],
    "text": ["text", "word", "title", "reading"],
    "where": ["where", "place", "position", "location"],
    "tags": ["tags", "things", "objects", "items", "labels"],
}
USUAL = 0.75  # share of the fields under their usual name

# What a request asks that does not say how it is answered: the schema comes with it, and forces the names of the fields.
PLAIN = [
    *QUESTIONS["name"], *QUESTIONS["describe"], "fill in the fields.", "list what is in the image.", "extract the data.", "read this.",
    "what are the facts?", "tag this image.", "catalogue this picture.", "analyze the image.", "look at the picture.", "extract the fields.",
    "what is in this picture, and where?", "give me the details.", "read this receipt.", "classify this image.", "extract the information.",
]
AS_JSON = [
    "describe the image as JSON with {names}.", "answer as JSON with the keys {names}.", "return a JSON object with {names}.",
    "extract {names} as JSON.", "give me {names} as a JSON object.", "reply in JSON: {names}", "JSON with {names}, please.",
    "what is this? answer in JSON with {names}.", "fill in this JSON: {types}", "respond with JSON only: {types}", "output JSON like {types}",
    "{names} as JSON",
]
CHOICES = [
    "which of these is it: {names}?", "is it {names}?", "choose one: {names}.", "answer with one of: {names}.", "what is this? {names}?",
    "pick the label: {names}", "classify the image as one of {names}.", "what is it, {names}?", "options: {names}. which one is shown?",
]
# Phrasings that the evaluation uses and training never does.
UNSEEN_PLAIN = ["what does this show?", "fill in the form.", "collect the data of this image."]
UNSEEN_AS_JSON = ["write {names} of the picture as JSON.", "I need a JSON object with the fields {names}."]


def facts(art, scene):
    """The value of each field that a scene has one for; None where the drawing leaves it open."""
    items = scene.items
    if scene.kind in ("photo", "noise"):
        return {"thing": "", "group": "", "text": "", "count": 0, "tags": []}
    if scene.kind == "text":
        return {"text": scene.text, "background": scene.background}
    names = list(dict.fromkeys(item.name for item in items))
    one, same = len(items) == 1, len(names) == 1
    return {
        "thing": names[0] if same else None,
        "group": (art.by_name[names[0]].group if scene.kind == "things" else "shape") if same else None,
        "color": (items[0].color if one else None) if scene.kind == "shapes" else None,
        "background": scene.background,
        "count": len(items),
        "text": "",
        "where": items[0].place if one else None,
        "tags": names,
    }


def write(value):
    """JSON with the separators of the library's constraint."""
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))


def chosen_fields(known, rng, most=4):
    """Fields in any order, most often those that say something, under names of a schema: {name: value}."""
    fields = [field for field in known if known[field] is not None and (known[field] != "" or rng.random() < 0.3)]
    rng.shuffle(fields)
    lists = [field for field in fields if field == "tags"] if rng.random() < 0.25 else []
    fields = lists or [field for field in fields if field != "tags"]
    names = {}
    for field in fields[: rng.choices([1, 2, 3, 4], [30, 32, 24, 14])[0]][:most]:
        name = NAMES[field][0] if rng.random() < USUAL else rng.choice(NAMES[field])
        names.setdefault(name, (field, known[field]))
    return names


def listed(names, rng):
    if len(names) == 1:
        return names[0]
    return f"{', '.join(names[:-1])}{rng.choice([', ', ' and ', ' and ', ', and '])}{names[-1]}"


def as_json(named, rng, phrasings=AS_JSON):
    """A question that names the fields."""
    types = {int: "number", list: "list"}
    shown = ", ".join(f'"{name}": {types.get(type(value), "string")}' for name, (_, value) in named.items())
    return rng.choice(phrasings).format(names=listed(list(named), rng), types=f"{{{shown}}}")


def spelled(question, rng):
    """A person's spelling, with the names of fields as they are."""
    if rng.random() < 0.6:
        question = question[0].upper() + question[1:]
    return question.rstrip("?.") if rng.random() < 0.2 else question


def json_turn(art, scene, rng):
    """("fields", …) where only the schema asks for JSON, ("json", …) where the question does too; None without facts."""
    named = chosen_fields(facts(art, scene), rng)
    if not named:
        return None
    answer = write({name: value for name, (_, value) in named.items()})
    if rng.random() < 0.5:
        return ("fields", spelled(rng.choice(PLAIN), rng), answer)
    return ("json", spelled(as_json(named, rng), rng), answer)


def choice_turn(art, scene, rng):
    """A question with the names that may be answered, or one that is answered with yes or no; None where the scene has no single thing."""
    if scene.kind != "things" or len({item.name for item in scene.items}) > 1:
        return None
    thing = art.by_name[scene.items[0].name]
    if len(scene.items) == 1 and rng.random() < 0.3:
        group = thing.group if rng.random() < 0.5 else rng.choice(list(art.peers))
        asked = group if group in ("food", "clothing") else article(group)
        return ("choice", spelled(rng.choice(["is this {}?", "is it {}?", "is the thing {}?"]).format(asked), rng), "yes" if group == thing.group else "no")
    options = rng.sample([n for n in art.names if n != thing.name], rng.choice([1, 2, 2, 3, 5, 9])) + [thing.name]
    rng.shuffle(options)
    between = rng.choice([" or ", ", or ", ", "])
    return ("choice", spelled(rng.choice(CHOICES).format(names=f"{', '.join(options[:-1])}{between}{options[-1]}"), rng), thing.name)


def turns(art, scene, rng):
    """One or two questions that are answered as data, for scenes that have such."""
    made = [json_turn(art, scene, rng)] + [choice_turn(art, scene, rng)] * (rng.random() < 0.35) + [json_turn(art, scene, rng)] * (rng.random() < 0.4)
    return list(dict.fromkeys(turn for turn in made if turn))


STRING_OR_NUMBER = re.compile(r'"(?:[^"\\]|\\.)*"(?P<name>:)?|-?\d+')
LIST = re.compile(r'\[\]|\["|(?<="), (?=")|\]')


def sampled_spans(answer):
    """The parts of a JSON text that a constraint leaves to the model: each value with the character that shows its end."""
    spans = [(m.start(), m.end() + (m[0][0] != '"')) for m in STRING_OR_NUMBER.finditer(answer) if not m["name"]]
    if answer.startswith('{"') and "[" in answer:  # whether a list goes on is the model's choice too
        spans += [m.span() for m in LIST.finditer(answer)]
    return spans
