"""Holds an answer to fields or to choices as the library's constraint does (worker/grammar), for measuring without it.

Text that can go on in one way only is read as a chunk of the tokenizer's own tokens, all but the last; everything else is the best
token among those that keep the text possible. Strings may hold what the library allows of ASCII: glimpse writes nothing else.
"""

import json

import numpy as np

SHORTEST_FORCED = 6  # bytes, as in worker/grammar/grammar-constraint.ts
MOST_DIGITS = 15  # of an integer without bounds, as in worker/grammar/number-range.ts


class Fields:
    """An object with these fields, each "string" or "integer": a state is (part, what of it was read)."""

    def __init__(self, types):
        self.parts, before = [], "{"
        for name, kind in types.items():
            quote = '"' * (kind == "string")
            self.parts += [f"{before}{json.dumps(name)}: {quote}", kind]
            before = f"{quote}, "
        self.parts.append(f"{quote}}}")

    def next(self, state, character):
        """The state behind one more character; None where it is not allowed."""
        part, read = state
        if part == len(self.parts):
            return None
        wanted = self.parts[part]
        if wanted == "string":
            if character == '"' and read != "\\":
                return self.next((part + 1, ""), character)
            if read == "\\":
                return (part, "") if character in '"\\bfnrt' else None
            return (part, "\\" if character == "\\" else "") if " " <= character <= "~" else None
        if wanted == "integer":
            digits = read.lstrip("-")
            if character.isdigit() and digits != "0" and len(digits) < MOST_DIGITS and read + character != "-0":
                return part, read + character
            if character == "-" and not read:
                return part, "-"
            return self.next((part + 1, ""), character) if digits else None
        if wanted[len(read)] != character:
            return None
        return (part, read + character) if len(read) + 1 < len(wanted) else (part + 1, "")

    def start(self):
        return 0, ""

    def may_end(self, state):
        return state[0] == len(self.parts)


class Choices:
    """One of these texts."""

    def __init__(self, texts):
        self.texts = set(texts)
        self.beginnings = {text[:end] for text in texts for end in range(len(text) + 1)}

    def start(self):
        return ""

    def next(self, state, character):
        return state + character if state + character in self.beginnings else None

    def may_end(self, state):
        return state in self.texts


class Vocabulary:
    """The tokens that can stand in a constrained answer: those of ASCII."""

    def __init__(self, tokenizer, end):
        texts = [tokenizer.decode([i]) for i in range(len(tokenizer))]
        special = set(tokenizer.all_special_ids)
        self.texts = {i: text for i, text in enumerate(texts) if text.isascii() and text and i not in special}
        self.size, self.end = len(texts), end
        self.encode = lambda text: tokenizer(text, add_special_tokens=False)["input_ids"]


class Constrained:
    """One answer on its way."""

    def __init__(self, grammar, vocabulary):
        self.grammar, self.vocabulary = grammar, vocabulary
        self.state, self.first, self.forced = grammar.start(), True, []
        self.force()

    def read(self, text, state):
        """The state behind a text; the space before an answer's first word is the template's."""
        for at, character in enumerate(text):
            if not (self.first and at == 0 and character == " "):
                state = self.grammar.next(state, character)
            if state is None:
                return None
        return state

    def force(self):
        text, state = "", self.state
        while not self.grammar.may_end(state):
            following = [c for c in map(chr, range(32, 127)) if self.grammar.next(state, c) is not None]
            if len(following) != 1:
                break
            text, state = text + following[0], self.grammar.next(state, following[0])
        if len(text) >= SHORTEST_FORCED:
            self.forced = self.vocabulary.encode(" " * self.first + text)[:-1]

    def choose(self, logits):
        """The next token."""
        if self.forced:
            token = self.forced.pop(0)
        else:
            allowed = [i for i, text in self.vocabulary.texts.items() if self.read(text, self.state) is not None]
            allowed += [self.vocabulary.end] * self.grammar.may_end(self.state)
            token = allowed[int(np.argmax(logits[allowed]))]
        if token != self.vocabulary.end:
            self.state = self.read(self.vocabulary.texts[token], self.state)
            self.first = False
            if not self.forced:
                self.force()
        return token
