"""Composes pictures together with everything that is true of them: things, shapes, words, photos and noise.

A `Scene` carries the facts that questions are made from and a class map: for the left and the right half of each of the
6 x 6 patches (narrow characters stand two to a patch) the thing, shape or character in its middle. The map supervises the
vision tower directly.
"""

import io
import json
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont

from phrases import PLACES

GRID = 6  # patches along an edge of a frame
SPRITE = 128
COLORS = {
    "red": (225, 30, 35), "green": (30, 150, 50), "blue": (30, 60, 220), "yellow": (250, 220, 30), "black": (15, 15, 15),
    "white": (250, 250, 250), "gray": (128, 128, 128), "brown": (125, 75, 30), "teal": (0, 128, 128), "orange": (250, 140, 20),
    "purple": (130, 40, 170), "pink": (250, 150, 190),
}
SHAPES = ["circle", "rectangle", "triangle", "star", "cross", "diamond", "heart"]
CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
HELD_OUT_STYLE = "twemoji"
HELD_OUT_FONTS = ["Karla-Regular", "Vollkorn-Regular", "Hack-Regular"]
TEST_PHOTOS = ["astronaut", "camera", "chelsea", "coffee", "Wine_by", "picosdeeuropa", "friends_by", "Picture_1A"]
NAMED_BY_COLOR = {"red apple", "green apple", "orange", "red heart", "lemon", "tomato"}
COUNTED_AS_ONE = {"deer", "fish", "squid", "shrimp"}  # the plural equals the singular, yet one of them is "a deer"


@dataclass
class Thing:
    name: str
    group: str
    plural: str

    @property
    def countable(self):
        return self.plural != self.name or self.name in COUNTED_AS_ONE


def read_things(path=Path(__file__).with_name("things.txt")):
    things = []
    for line in path.read_text().splitlines():
        if line and not line.startswith("#"):
            group, entries = line.split(": ")
            for entry in entries.split(", "):
                entry, _, plural = entry.partition("/")
                name = entry.partition("=")[0]
                things.append(Thing(name, group, plural or name + "s"))
    return things


@dataclass
class Item:
    """One thing or shape in a scene; centre and size as fractions of the canvas."""
    name: str
    x: float
    y: float
    size: float
    color: str | None = None

    @property
    def place(self):
        def third(v):
            return 0 if v < 0.36 else 2 if v > 0.64 else 1 if 0.42 < v < 0.58 else None
        return PLACES.get((third(self.x), third(self.y)))


@dataclass
class Scene:
    kind: str  # things, shapes, text, photo, noise
    image: Image.Image
    items: list[Item] = field(default_factory=list)
    background: str | None = None  # the name of a plain background colour
    text: str | None = None
    classes: np.ndarray | None = None  # (6, 12) class ids, -100 where unknown
    letters: list[tuple[float, float]] = field(default_factory=list)  # the centre of each character of `text`, as fractions


class Art:
    """Everything that scenes are made of, split so that held-out styles, fonts and photos stay out of training."""

    def __init__(self, cache, split="train"):
        cache = Path(cache)
        self.things = read_things()
        self.by_name = {t.name: t for t in self.things}
        self.class_names = ["nothing", *(t.name for t in self.things), *SHAPES, *CHARACTERS, "photo", "noise"]
        self.class_id = {name: i for i, name in enumerate(self.class_names)}
        rows = json.loads((cache / "sprites.json").read_text())
        self.pixels = np.memmap(cache / "sprites.rgba", dtype=np.uint8, mode="r").reshape(len(rows), SPRITE, SPRITE, 4)
        self.sprites = {}
        for i, row in enumerate(rows):
            if row["thing"] in self.by_name and (row["style"] == HELD_OUT_STYLE) == (split == "held-out style"):
                self.sprites.setdefault(row["thing"], []).append(i)
        self.names = list(self.sprites)
        self.peers = {t.group: [o.name for o in self.things if o.group == t.group] for t in self.things}
        fonts = sorted((cache / "fonts").iterdir())
        self.fonts = [f for f in fonts if (f.stem in HELD_OUT_FONTS) == (split == "held-out fonts")]
        self.words = [w for w in (cache / "words.txt").read_text().split() if 1 <= len(w) <= 6]
        photos = sorted((cache / "photos").iterdir())
        chosen = [p for p in photos if any(p.stem.startswith(t) for t in TEST_PHOTOS) == (split != "train")]
        self.photos = [Image.open(p).convert("RGB") for p in chosen]
        self._font_cache = {}

    def font(self, rng, size):
        key = (rng.randrange(len(self.fonts)), size)
        if key not in self._font_cache:
            self._font_cache[key] = ImageFont.truetype(str(self.fonts[key[0]]), size)
        return self._font_cache[key]


def jitter(color, rng, amount=18):
    return tuple(max(0, min(255, c + rng.randint(-amount, amount))) for c in color)


def canvas_size(rng, longest=None):
    if longest is None and rng.random() < 0.8:
        return 96, 96  # already a frame: most training pictures, because they are cheap
    long = longest or rng.randint(80, 200)
    short = long if rng.random() < 0.5 else int(long * rng.uniform(0.7, 1))
    return (long, short) if rng.random() < 0.65 else (short, long)


def soft_noise(size, rng, cells):
    """Smooth random colour: a tiny random picture scaled up."""
    seed = np.random.default_rng(rng.getrandbits(32))
    small = seed.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


def background(size, rng, avoid=()):
    """A backdrop, and its colour's name where it is plain."""
    kind = rng.random()
    if kind < 0.55:
        name = rng.choice([c for c in COLORS if c not in avoid])
        return Image.new("RGB", size, jitter(COLORS[name], rng, 12)), name
    if kind < 0.75:
        pale = tuple(rng.randint(150, 255) for _ in range(3))
        return Image.new("RGB", size, pale), None
    if kind < 0.9:
        two = np.array([[[rng.randint(0, 255) for _ in range(3)]], [[rng.randint(0, 255) for _ in range(3)]]], dtype=np.uint8)
        gradient = Image.fromarray(two).resize(size, Image.Resampling.BILINEAR)
        return (gradient.transpose(Image.Transpose.ROTATE_90).resize(size) if rng.random() < 0.5 else gradient), None
    veil = Image.new("RGB", size, tuple(rng.randint(100, 255) for _ in range(3)))
    return Image.blend(soft_noise(size, rng, rng.randint(2, 5)), veil, rng.uniform(0.5, 0.9)), None


def hue_shift(rgba, degrees):
    h, s, v = rgba.convert("RGB").convert("HSV").split()
    h = h.point(lambda p: (p + int(degrees * 256 / 360)) % 256)
    out = Image.merge("HSV", (h, s, v)).convert("RGB")
    out.putalpha(rgba.getchannel("A"))
    return out


def sprite(art, name, pixels, rng, augment=True):
    """One drawing of a thing, about `pixels` wide, in a colour treatment that keeps it recognisable."""
    image = Image.fromarray(art.pixels[rng.choice(art.sprites[name])])
    image = image.resize((pixels, pixels), Image.Resampling.BILINEAR, reducing_gap=2.0)
    if augment:
        kind = rng.random()
        alpha = image.getchannel("A")
        if kind < 0.06 and name not in NAMED_BY_COLOR:
            image = Image.merge("RGBA", (*[image.convert("RGB").convert("L")] * 3, alpha))
        elif kind < 0.25:
            image = hue_shift(image, rng.uniform(-12, 12) if name in NAMED_BY_COLOR else rng.gauss(0, 30))
        elif kind < 0.35:
            flat = ImageEnhance.Contrast(image.convert("RGB")).enhance(rng.uniform(0.5, 1.6))
            flat = ImageEnhance.Brightness(flat).enhance(rng.uniform(0.7, 1.3))
            image = Image.merge("RGBA", (*flat.split(), alpha))
        elif kind < 0.43:  # flatten: few grey levels a channel, as flat art has
            flat = image.convert("RGB").filter(ImageFilter.MedianFilter(3)).point(lambda p: (p // 52) * 51)
            image = Image.merge("RGBA", (*flat.split(), alpha))
        if rng.random() < 0.07:  # a dark or light outline
            rim = alpha.filter(ImageFilter.MaxFilter(3))
            outlined = Image.new("RGBA", image.size, jitter((30, 30, 30) if rng.random() < 0.7 else (240, 240, 240), rng) + (0,))
            outlined.putalpha(rim)
            outlined.alpha_composite(image)
            image = outlined
        if rng.random() < 0.25:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if rng.random() < 0.35:
        image = image.rotate(rng.gauss(0, 10), Image.Resampling.BILINEAR)
    return image


class Canvas:
    def __init__(self, art, rng, longest=None, avoid=()):
        self.art, self.rng = art, rng
        self.image, self.background = background(canvas_size(rng, longest), rng, avoid)
        self.labels = Image.new("I", self.image.size, 0)
        self.edge = min(self.image.size)

    def paste(self, picture, x, y, label):
        """Centre `picture` on the point (x, y), given as fractions."""
        w, h = self.image.size
        left, top = int(x * w - picture.width / 2), int(y * h - picture.height / 2)
        alpha = picture.getchannel("A")
        self.image.paste(picture, (left, top), alpha)
        self.labels.paste(label, (left, top), alpha.point(lambda a: 255 if a > 100 else 0).convert("1"))

    def finish(self, kind, **facts):
        image = weather(self.image, self.rng)
        labels = np.asarray(self.labels.resize((2 * GRID, GRID), Image.Resampling.NEAREST))
        return Scene(kind, image, classes=labels.astype(np.int64), background=facts.pop("background", self.background), **facts)


def weather(image, rng):
    """What happens to pictures on their way: blur, sensor noise, lossy compression."""
    if rng.random() < 0.12:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.1)))
    if rng.random() < 0.15:
        grain = np.random.default_rng(rng.getrandbits(32)).normal(0, rng.uniform(2, 12), (image.height, image.width, 1))
        image = Image.fromarray(np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8))
    if rng.random() < 0.25:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=rng.randint(35, 95))
        image = Image.open(buffer).convert("RGB")
    return image


def layout(n, rng):
    """n places (x, y, largest size) that do not overlap."""
    if n == 1:
        size = rng.uniform(0.35, 0.98) if rng.random() < 0.75 else rng.uniform(0.25, 0.4)
        room = max(0.0, 1 - size)
        return [(0.5 + room * rng.uniform(-0.5, 0.5), 0.5 + room * rng.uniform(-0.5, 0.5), size)]
    if n == 2:
        size, cross = rng.uniform(0.3, 0.48), rng.uniform(-0.2, 0.2)
        a, b = 0.25 + rng.uniform(-0.02, 0.03), 0.75 + rng.uniform(-0.03, 0.02)
        if rng.random() < 0.6:
            return [(a, 0.5 + cross, size), (b, 0.5 + cross * rng.uniform(-1, 1), size)]
        return [(0.5 + cross, a, size), (0.5 + cross * rng.uniform(-1, 1), b, size)]
    cells = [(c, r) for c in range(3) for r in range(3)]
    size = rng.uniform(0.24, 0.33)
    return [((c + 0.5) / 3 + rng.uniform(-0.02, 0.02), (r + 0.5) / 3 + rng.uniform(-0.02, 0.02), size) for c, r in rng.sample(cells, n)]


def things_scene(art, rng, n=None, longest=None, augment=True):
    n = n or rng.choices([1, 2, 3, 4, 5], [52, 24, 9, 8, 7])[0]
    canvas = Canvas(art, rng, longest)
    if n == 1:
        names = [rng.choice(art.names)]
    else:  # some of the things several times, so that counting means more than "all"
        first = rng.choice(art.names)
        others = rng.sample([p for p in art.peers[art.by_name[first].group] if p in art.sprites], 1) if rng.random() < 0.4 else []
        others = [o for o in others + rng.sample(art.names, 4) if o != first]
        copies = rng.randint(1, n) if rng.random() < 0.7 else 1
        names = [first] * copies + others[: n - copies]
        rng.shuffle(names)
    items = []
    for name, (x, y, size) in zip(names, layout(n, rng)):
        pixels = max(12, int(size * canvas.edge))
        canvas.paste(sprite(art, name, pixels, rng, augment), x, y, art.class_id[name])
        items.append(Item(name, x, y, size))
    return canvas.finish("things", items=items)


def draw_shape(name, color, pixels, rng):
    big = pixels * 3  # drawn large and reduced, for smooth edges
    image = Image.new("RGBA", (big, big), color + (0,))
    draw = ImageDraw.Draw(image)
    c, r = big / 2, big / 2 - 2

    def polygon(points):
        draw.polygon([(c + r * px, c + r * py) for px, py in points], fill=color)

    if name == "circle":
        draw.ellipse((2, 2, big - 2, big - 2), fill=color)
    elif name == "rectangle":
        w, h = rng.uniform(0.5, 1), rng.uniform(0.5, 1)
        polygon([(-w, -h), (w, -h), (w, h), (-w, h)])
    elif name == "triangle":
        top = rng.uniform(-0.6, 0.6)
        polygon([(top, -0.9), (1, 0.8), (-1, 0.8)])
    elif name == "diamond":
        polygon([(0, -1), (0.7, 0), (0, 1), (-0.7, 0)])
    elif name == "cross":
        polygon([(-.3, -1), (.3, -1), (.3, -.3), (1, -.3), (1, .3), (.3, .3), (.3, 1), (-.3, 1), (-.3, .3), (-1, .3), (-1, -.3), (-.3, -.3)])
    elif name == "star":
        polygon([((1 if i % 2 == 0 else 0.42) * math.sin(i * math.pi / 5), -(1 if i % 2 == 0 else 0.42) * math.cos(i * math.pi / 5)) for i in range(10)])
    elif name == "heart":
        curve = [i * math.pi / 20 for i in range(40)]
        polygon([(math.sin(t) ** 3, -(13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)) / 17) for t in curve])
    turn = rng.uniform(0, 360) if name in ("rectangle", "triangle") else rng.gauss(0, 8)
    return image.rotate(turn, Image.Resampling.BILINEAR).resize((pixels, pixels), Image.Resampling.BOX)


def shapes_scene(art, rng, n=None, longest=None):
    n = n or rng.choices([1, 2, 3, 4, 5], [50, 25, 10, 8, 7])[0]
    colors = rng.sample(list(COLORS), 12)
    same = rng.random() < 0.3  # all of one shape and colour: for counting
    canvas = Canvas(art, rng, longest, avoid=colors[:n])
    if canvas.background is None:  # a shape's colour must stand out: other backdrops are kept pale
        canvas.image = Image.blend(canvas.image, Image.new("RGB", canvas.image.size, (235, 235, 235)), 0.75)
        colors = [c for c in colors if c not in ("white", "gray")]
    items = []
    names = [rng.choice(SHAPES) for _ in range(n)]
    for i, (x, y, size) in enumerate(layout(n, rng)):
        name, color = (names[0], colors[0]) if same else (names[i], colors[i])
        picture = draw_shape(name, jitter(COLORS[color], rng, 12), max(10, int(size * canvas.edge)), rng)
        canvas.paste(picture, x, y, art.class_id[name])
        items.append(Item(name, x, y, size, color))
    return canvas.finish("shapes", items=items)


def random_text(art, rng):
    kind = rng.random()
    if kind < 0.5:
        return rng.choice(art.words).upper()
    if kind < 0.75:
        return "".join(rng.choice("0123456789") for _ in range(rng.randint(1, 6)))
    alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZ" if kind < 0.9 else "ABCDEFGHJKLMNPRSTUVWXYZ23456789"
    return "".join(rng.choice(alphabet) for _ in range(rng.randint(1, 6)))


def text_scene(art, rng, longest=None, characters=6, drawn=1):
    """A word or number, cut to so many characters; the longest of as many as are `drawn`."""
    canvas = Canvas(art, rng, longest)
    width, height = canvas.image.size
    text = max((random_text(art, rng) for _ in range(drawn)), key=len)[:characters]
    shown = text if rng.random() < 0.75 or not text.isalpha() else text.lower() if rng.random() < 0.5 else text.capitalize()
    trial = art.font(rng, 40)
    box = trial.getbbox(shown)
    scale = min(width * 0.96 / max(1, box[2] - box[0]), height * 0.8 / max(1, box[3] - box[1])) * rng.uniform(0.72, 1)
    size = max(8, min(int(40 * scale), 130))
    font = ImageFont.truetype(trial.path, size)
    left, top, right, bottom = font.getbbox(shown)
    x = rng.uniform(0, max(0, width - (right - left))) - left
    y = rng.uniform(0, max(0, height - (bottom - top))) - top
    around = np.asarray(canvas.image).mean((0, 1))
    candidates = [c for c in COLORS.values() if abs(np.dot(np.array(c) - around, (0.3, 0.59, 0.11))) > 80]
    color = jitter(rng.choice(candidates or [(0, 0, 0) if around.mean() > 127 else (255, 255, 255)]), rng)
    ImageDraw.Draw(canvas.image).text((x, y), shown, font=font, fill=color)
    label = ImageDraw.Draw(canvas.labels)
    start, letters, middle = x, [], y + (top + bottom) / 2
    row = (min(GRID - 1, int(middle / height * GRID)) + 0.5) * height / GRID  # a centre of patches, so that flat text is on the map too
    for i, character in enumerate(shown):
        end = x + font.getlength(shown[: i + 1])
        label.rectangle((start, min(y + top, row), end, max(y + bottom, row)), fill=art.class_id[character.upper()])
        letters.append(((start + end) / 2 / width, middle / height))
        start = end
    return canvas.finish("text", text=text, letters=letters)


def photo_scene(art, rng, longest=None):
    photo = rng.choice(art.photos)
    size = canvas_size(rng, longest)
    scale = rng.uniform(0.25, 1)
    w = max(32, int(photo.width * scale))
    h = max(32, min(photo.height, int(w * size[1] / size[0])))
    left, top = rng.randint(0, photo.width - w), rng.randint(0, photo.height - h)
    image = photo.crop((left, top, left + w, top + h)).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if rng.random() < 0.3:
        image = ImageEnhance.Color(image).enhance(rng.uniform(0, 1.8))
    if rng.random() < 0.3:
        image = ImageEnhance.Brightness(image).enhance(rng.uniform(0.6, 1.4))
    return Scene("photo", weather(image, rng), classes=np.full((GRID, 2 * GRID), art.class_id["photo"]))


def noise_scene(art, rng, longest=None):
    size = canvas_size(rng, longest)
    seed = np.random.default_rng(rng.getrandbits(32))
    kind = rng.random()
    if kind < 0.35:
        cell = rng.randint(1, 8)
        small = seed.integers(0, 256, (max(2, size[1] // cell), max(2, size[0] // cell), 3 if rng.random() < 0.6 else 1), dtype=np.uint8)
        image = Image.fromarray(np.broadcast_to(small, (*small.shape[:2], 3)).copy()).resize(size, Image.Resampling.NEAREST)
    elif kind < 0.7:  # 1/f noise, which has a photo's spectrum
        field_ = seed.normal(size=(size[1], size[0], 3))
        fy, fx = np.meshgrid(np.fft.fftfreq(size[1]), np.fft.fftfreq(size[0]), indexing="ij")
        falloff = np.maximum(np.hypot(fy, fx), 1 / max(size))[..., None] ** rng.uniform(0.7, 1.8)
        waves = np.fft.ifft2(np.fft.fft2(field_, axes=(0, 1)) / falloff, axes=(0, 1)).real
        waves = (waves - waves.mean()) / waves.std() * rng.uniform(30, 70) + rng.uniform(80, 180)
        image = Image.fromarray(np.clip(waves, 0, 255).astype(np.uint8))
    else:
        image = soft_noise(size, rng, rng.randint(6, 24))
    return Scene("noise", weather(image, rng), classes=np.full((GRID, 2 * GRID), art.class_id["noise"]))
