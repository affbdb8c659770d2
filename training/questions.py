"""Turns scenes into questions with their answers, and strings them into conversations."""

from phrases import (CANNOT_TELL, FOLLOW_UP, NUMBERS, PICTURE, QUESTIONS, SYSTEM, TWO_PICTURES, article, dress)
from scenes import COLORS, SHAPES


def one(thing):
    return article(thing.name) if thing.countable else thing.name


def plural(art, name):
    return art.by_name[name].plural if name in art.by_name else {"cross": "crosses"}.get(name, name + "s")


def listing(art, names):
    """"two dogs and a cat", in the order in which the kinds first appear."""
    parts = []
    for name in dict.fromkeys(names):
        k = names.count(name)
        thing = art.by_name.get(name)
        parts.append((one(thing) if thing else article(name)) if k == 1 else f"{NUMBERS[k]} {plural(art, name)}")
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def relation_of(a, b):
    """How b lies to a where that is plain: "left of", "right of", "above", "below"; else None."""
    dx, dy = b.x - a.x, b.y - a.y
    if abs(dx) > 0.25 and abs(dx) > 1.6 * abs(dy):
        return "right of" if dx > 0 else "left of"
    if abs(dy) > 0.25 and abs(dy) > 1.6 * abs(dx):
        return "below" if dy > 0 else "above"
    return None


def relation_phrase(rel, rng):
    return "to the " + rel if rel in ("left of", "right of") and rng.random() < 0.5 else rel


def describe(art, scene):
    items = scene.items
    if scene.kind == "text":
        return f'a text that says "{scene.text}"'
    if scene.kind == "shapes":
        words = [article(f"{i.color} {i.name}") for i in items]
        if len({(i.color, i.name) for i in items}) == 1 and len(items) > 1:
            words = [f"{NUMBERS[len(items)]} {items[0].color} {plural(art, items[0].name)}"]
        elif len(items) > 2:
            words = [listing(art, [i.name for i in items])]
        sentence = " and ".join(words)
    elif len(items) == 2 and items[0].name != items[1].name and (rel := relation_of(items[1], items[0])):
        a, b = (one(art.by_name[i.name]) for i in items)
        sentence = f"{a} {'to the ' + rel if rel in ('left of', 'right of') else rel} {b}"
    else:
        sentence = listing(art, [i.name for i in items])
    return sentence + (f" on {article(scene.background)} background" if scene.background else "")


def absent(art, scene, rng):
    """A thing that is not there; half the time of the same group as one that is (a hard negative)."""
    present = {i.name for i in scene.items}
    pool = art.peers[art.by_name[rng.choice(scene.items).name].group] if rng.random() < 0.5 else art.names
    left = [n for n in pool if n not in present] or [n for n in art.names if n not in present]
    return rng.choice(left)


def candidates(art, scene, rng):
    """Every (skill, question, answer) that this scene supports, one phrasing each; skills weigh about the same."""
    ask = lambda skill, **slots: rng.choice(QUESTIONS[skill]).format(**slots)
    items, out = scene.items, []
    names = [i.name for i in items]
    if scene.kind in ("photo", "noise"):
        skill = rng.choice(["name", "group", "describe", "count_all", "presence", "background", "read", "place", "count"])
        name = rng.choice(art.names)
        return [(scene.kind, ask(skill, n=name, s=plural(art, name), a=one(art.by_name[name])), CANNOT_TELL)]
    if scene.kind == "text":
        return [("read", ask("read"), scene.text), ("describe", ask("describe"), describe(art, scene))]
    out.append(("describe", ask("describe"), describe(art, scene)))
    if scene.background:
        out.append(("background", ask("background"), scene.background))
    unique = [i for i in items if names.count(i.name) == 1]
    target = rng.choice(unique) if unique else None
    if target and target.place:
        out.append(("place", ask("place", n=target.name), target.place))
    if scene.kind == "things":
        if len(items) == 1:
            thing = art.by_name[names[0]]
            out += [("name", ask("name"), thing.name)] * 2 + [("group", ask("group"), thing.group)]
        there, missing = art.by_name[rng.choice(names)], art.by_name[absent(art, scene, rng)]
        out.append(("presence", ask("presence", a=one(there)), "yes"))
        out.append(("presence", ask("presence", a=one(missing)), "no"))
        if there.countable:
            out.append(("count", ask("count", s=there.plural), NUMBERS[names.count(there.name)]))
    else:
        item = rng.choice(items)
        if len(items) == 1:
            out += [("shape", ask("shape"), item.name), ("color", ask("color", n="shape"), item.color)]
        if names.count(item.name) == 1:
            out.append(("color", ask("color", n=item.name), item.color))
        if len({i.name for i in items if i.color == item.color}) == 1:
            out.append(("shape_of_color", ask("shape_of_color", c=item.color), item.name))
        pairs = {(i.color, i.name) for i in items}
        color, name = rng.choice(sorted({(c, n) for c in {i.color for i in items} | {rng.choice(list(COLORS))} for n in SHAPES} - pairs))
        out.append(("presence", ask("presence", a=article(f"{item.color} {item.name}")), "yes"))
        out.append(("presence", ask("presence", a=article(f"{color} {name}")), "no"))
        out.append(("count", ask("count", s=rng.choice([plural(art, item.name), f"{item.color} {plural(art, item.name)}"])), None))
        asked = out[-1][1]
        same = [i for i in items if i.name == item.name and (i.color == item.color or f"{item.color} " not in asked)]
        out[-1] = ("count", asked, NUMBERS[len(same)])
    if len(items) > 1:
        out.append(("count", ask("count_all"), NUMBERS[len(items)]))
    if len(items) == 2 and names[0] != names[1]:
        a, b = rng.sample(items, 2)
        rel = relation_of(a, b)  # b is `rel` a
        if rel:
            out.append(("relation", ask("relation", rel=relation_phrase(rel, rng), n=a.name), b.name))
            if rel in ("left of", "right of"):
                out.append(("side", ask("side", side=rel[:-3]), b.name))
            else:
                out.append(("side", ask("side_vertical", side={"above": "top", "below": "bottom"}[rel]), b.name))
    return out


def unanswerable(rng, questions=tuple(QUESTIONS["unanswerable"])):
    return ("unanswerable", rng.choice(questions), CANNOT_TELL)


def follow_up(art, scene, rng):
    """[first turn, second turn] about one picture; the second leans on the first."""
    item = scene.items[0]
    first = ("name", rng.choice(QUESTIONS["name" if scene.kind == "things" else "shape"]), item.name)
    options = []
    if item.place:
        options.append(("place", rng.choice(FOLLOW_UP["place"]), item.place))
    if scene.background:
        options.append(("background", rng.choice(FOLLOW_UP["background"]), scene.background))
    if scene.kind == "things":
        options.append(("group", rng.choice(FOLLOW_UP["group"]), art.by_name[item.name].group))
    else:
        options.append(("color", rng.choice(FOLLOW_UP["color"]), item.color))
    return [first, rng.choice(options)]


def two_picture_question(art, scenes, rng):
    """A question that says which of two pictures it means; None where these two support none."""
    k = rng.randrange(2)
    scene, other, options = scenes[k], scenes[1 - k], []
    p, items = PICTURE[k], scene.items
    ask = lambda skill, **slots: rng.choice(TWO_PICTURES[skill]).format(p=p, **slots)
    if scene.kind == "text":
        options.append(("read", ask("read"), scene.text))
    if scene.kind in ("photo", "noise"):
        options.append((scene.kind, ask("name"), CANNOT_TELL))
    if scene.kind in ("things", "shapes") and scene.background:
        options.append(("background", ask("background"), scene.background))
    if scene.kind == "things":
        name = items[0].name
        if len(items) == 1:
            options += [("name", ask("name"), name)] * 3
        if art.by_name[name].countable:
            options.append(("count", ask("count", s=plural(art, name)), NUMBERS[sum(i.name == name for i in items)]))
        if all(i.name != name for i in other.items) and other.kind in ("things", "shapes", "text"):
            options.append(("which", ask("which", a=one(art.by_name[name])), f"the {p}"))
    return rng.choice(options) if options else None


def conversations(art, scene, rng, turns, unanswerable_share=0.35):
    """About `turns` questions on one picture, grouped into conversations of one to three turns."""
    pool = candidates(art, scene, rng)
    rng.shuffle(pool)
    groups = []
    if scene.kind in ("things", "shapes") and len(scene.items) == 1 and rng.random() < 0.3:
        groups.append(follow_up(art, scene, rng))
    chosen = pool[:turns]
    if scene.kind in ("photo", "noise"):
        chosen = [q for _ in range(3) for q in candidates(art, scene, rng)]
    if rng.random() < unanswerable_share:
        chosen.append(unanswerable(rng))
    rng.shuffle(chosen)
    while chosen:
        n = rng.choices([1, 2, 3], [75, 17, 8])[0]
        groups.append(chosen[:n])
        chosen = chosen[n:]
    return groups


def system_message(rng, share=0.1):
    return rng.choice(SYSTEM) if rng.random() < share else None


def dressed(turns, rng):
    return [(skill, dress(question, rng), answer) for skill, question, answer in turns]
