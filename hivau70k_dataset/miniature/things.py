"""Everything of the miniature set that is not a person: vehicles, bags, shelves, walls, fire and smoke, as pictures.

A picture is asked for by a key, a tuple that starts with its kind, and by the height in pixels of a person who would
stand beside it. The point of the ground it stands on comes with it, so that the stage can put it in place.
"""

import math

import numpy as np
from PIL import Image, ImageDraw

from .figures import COLOURS, RGB, draw_figure, shade


Key = tuple
Sprite = tuple[Image.Image, int, int]  # RGBA, and the column and row of the point it stands on

PAINTS: dict[str, RGB] = {
    "red": (180, 44, 40),
    "blue": (44, 84, 164),
    "green": (60, 118, 78),
    "white": (222, 222, 218),
    "black": (44, 46, 52),
    "silver": (166, 170, 176),
    "yellow": (220, 184, 56),
}
GLASS, TYRE = (66, 84, 102), (22, 22, 24)
EMISSIVE = ("flame", "spark", "flash")  # shine by themselves: the night does not darken them
GOODS = (
    (214, 60, 50),
    (240, 200, 60),
    (60, 130, 200),
    (80, 170, 90),
    (230, 130, 170),
    (240, 240, 236),
    (150, 90, 180),
)


class Sheet:
    """A drawing board in units of one person's height, the standing point at the origin, up negative."""

    def __init__(self, unit_px: float, left: float, top: float, right: float, bottom: float):
        self.oversample = 4 if unit_px < 60 else 2
        self.unit = unit_px * self.oversample
        self.size = (max(1, math.ceil((right - left) * unit_px)), max(1, math.ceil((bottom - top) * unit_px)))
        self.anchor = (round(-left * unit_px), round(-top * unit_px))
        self.picture = Image.new("RGBA", (self.size[0] * self.oversample, self.size[1] * self.oversample))
        self.pen = ImageDraw.Draw(self.picture, "RGBA")

    def _at(self, *points: float) -> list[float]:
        return [p * self.unit + self.anchor[i % 2] * self.oversample for i, p in enumerate(points)]

    def box(self, left: float, top: float, right: float, bottom: float, fill: tuple) -> None:
        self.pen.rectangle(self._at(left, top, right, bottom), fill=fill)

    def oval(self, x: float, y: float, rx: float, ry: float, fill: tuple) -> None:
        self.pen.ellipse(self._at(x - rx, y - ry, x + rx, y + ry), fill=fill)

    def shape(self, points: list[float], fill: tuple) -> None:
        self.pen.polygon(self._at(*points), fill=fill)

    def stroke(self, points: list[float], fill: tuple, width: float) -> None:
        self.pen.line(self._at(*points), fill=fill, width=max(1, round(width * self.unit)), joint="curve")

    def done(self) -> Sprite:
        small = self.picture.resize(self.size, Image.Resampling.BOX)
        left, top, right, bottom = small.getbbox() or (0, 0, 1, 1)
        return small.crop((left, top, right, bottom)), self.anchor[0] - left, self.anchor[1] - top


def _car(unit_px: float, style: str, colour: str, state: str) -> Sprite:
    """Seen from the side, its front to the right; "crumpled" at the front, "dented" at the back, or a "wreck"."""
    sheet = Sheet(unit_px, -1.15, -1.2, 1.15, 0.12)
    paint = (40, 36, 34) if state == "wreck" else PAINTS[colour]
    glass = (18, 18, 20) if state == "wreck" else GLASS
    front = 0.78 if state == "crumpled" else 1.02
    back = -0.84 if state == "dented" else -1.02
    if style == "van":
        sheet.shape([back, -0.14, back, -0.98, 0.5, -0.98, 0.78, -0.56, front, -0.5, front, -0.14], paint)
        sheet.shape([0.28, -0.86, 0.48, -0.86, 0.68, -0.56, 0.28, -0.56], glass)
        sheet.box(back, -0.5, 0.2, -0.45, shade(paint, 0.75))
    else:
        sheet.shape(
            [back, -0.14, back, -0.46, -0.62, -0.52, -0.4, -0.8, 0.26, -0.8, 0.56, -0.5, front, -0.42, front, -0.14],
            paint,
        )
        sheet.shape([-0.52, -0.53, -0.35, -0.73, -0.1, -0.73, -0.1, -0.53], glass)
        sheet.shape([-0.03, -0.53, -0.03, -0.73, 0.22, -0.73, 0.44, -0.53], glass)
        sheet.box(back, -0.24, front, -0.14, shade(paint, 0.7))
    if state == "crumpled":
        sheet.shape([0.42, -0.52, 0.66, -0.84, 0.76, -0.78, 0.7, -0.46], shade(paint, 0.6))
        sheet.shape([0.66, -0.5, 0.9, -0.34, 0.72, -0.3, 0.94, -0.14, 0.6, -0.12], (58, 56, 58))
    elif state == "dented":
        sheet.shape([-0.7, -0.5, -0.98, -0.4, -0.76, -0.32, -0.96, -0.18, -0.62, -0.12], (58, 56, 58))
    elif state == "broken":  # its windows are in
        for x in (-0.44, -0.28, 0.06, 0.24):
            sheet.shape([x, -0.56, x + 0.05, -0.74, x + 0.12, -0.58], (232, 240, 244))
        for x in np.linspace(-0.6, 0.6, 9):
            sheet.box(x, 0.0, x + 0.06, 0.04, (226, 236, 240))
    elif state != "wreck":
        sheet.box(front - 0.07, -0.38, front, -0.28, (255, 244, 190))
        sheet.box(back, -0.38, back + 0.06, -0.28, (220, 40, 30))
    for x in (-0.6, 0.58):
        sheet.oval(x, -0.13, 0.19, 0.19, TYRE)
        sheet.oval(x, -0.13, 0.09, 0.09, (120, 120, 124) if state != "wreck" else (60, 56, 54))
    return sheet.done()


def _shelf(unit_px: float, seed: int, gaps: int) -> Sprite:
    """Three boards of goods; `gaps` places (of 6) of the upper two are empty."""
    rng = np.random.default_rng(seed)
    sheet = Sheet(unit_px, -0.62, -1.25, 0.62, 0.05)
    sheet.box(-0.6, -1.2, 0.6, 0.0, (96, 84, 74))
    for row, top in enumerate((-1.16, -0.78, -0.4)):
        sheet.box(-0.56, top, 0.56, top + 0.34, (48, 44, 42))
        for place in range(6):
            colour, height = GOODS[int(rng.integers(len(GOODS)))], rng.uniform(0.2, 0.3)
            left = -0.54 + 0.184 * place
            if row < 2 and place in (2, 3, 1, 4)[:gaps]:
                continue
            sheet.box(left, top + 0.34 - height, left + 0.15, top + 0.34, colour)
        sheet.box(-0.6, top + 0.34, 0.6, top + 0.38, (196, 186, 170))
    return sheet.done()


def _window(unit_px: float, state: str) -> Sprite:
    """A shop window (or a glass case) 0.9 wide; "cracked", then "broken" with the shards on the ground."""
    sheet = Sheet(unit_px, -0.6, -1.15, 0.6, 0.25)
    sheet.box(-0.5, -1.1, 0.5, -0.08, (70, 60, 54))
    sheet.box(-0.45, -1.05, 0.45, -0.14, (150, 186, 204))
    sheet.shape([-0.35, -0.14, 0.05, -1.05, 0.2, -1.05, -0.2, -0.14], (184, 212, 226))
    if state == "cracked":
        for x, y in ((-0.4, -0.9), (0.3, -1.0), (0.42, -0.5), (-0.1, -0.2), (-0.44, -0.4), (0.25, -0.25)):
            sheet.stroke([0.02, -0.65, x, y], (250, 252, 255), 0.035)
        sheet.oval(0.02, -0.65, 0.1, 0.1, (30, 32, 36))
    elif state == "broken":
        sheet.box(-0.45, -1.05, 0.45, -0.14, (24, 24, 28))
        for x, tip in ((-0.45, 0.3), (-0.2, 0.2), (0.1, 0.36), (0.3, 0.22)):
            sheet.shape([x, -0.14, x + 0.08, -0.14 - tip, x + 0.16, -0.14], (176, 208, 222))
        for x, tip in ((-0.4, 0.22), (0.0, 0.15), (0.26, 0.3)):
            sheet.shape([x, -1.05, x + 0.07, -1.05 + tip, x + 0.15, -1.05], (176, 208, 222))
        for x, y in ((-0.5, 0.02), (-0.3, 0.12), (-0.12, 0.04), (0.1, 0.16), (0.26, 0.05), (0.44, 0.12)):
            sheet.shape([x, y, x + 0.1, y - 0.05, x + 0.08, y + 0.05], (214, 232, 240))
    return sheet.done()


def _graffiti(unit_px: float, colour: str, level: int) -> Sprite:
    """Letters on a wall that grow with `level` (1 to 6), in one loud colour."""
    sheet = Sheet(unit_px, -0.75, -1.2, 0.75, 0.05)
    fill = COLOURS[colour]
    strokes = (
        [-0.6, -0.5, -0.6, -1.0, -0.35, -0.6, -0.35, -1.05],
        [-0.22, -0.98, -0.22, -0.55, 0.0, -0.55, 0.0, -1.0],
        [0.36, -1.0, 0.12, -0.95, 0.34, -0.75, 0.12, -0.52],
        [0.48, -1.05, 0.66, -0.52, 0.68, -1.05, 0.46, -0.52],
        [-0.66, -0.4, 0.0, -0.3, 0.7, -0.4],
        [-0.64, -0.22, 0.0, -0.34, 0.62, -0.2],
    )
    for points in strokes[:level]:
        sheet.stroke(points, fill, 0.12)
    return sheet.done()


def _poster(unit_px: float, colour: str, level: int) -> Sprite:
    sheet = Sheet(unit_px, -0.4, -1.2, 0.4, 0.05)
    fill = COLOURS[colour]
    sheet.box(-0.28, -1.08, 0.28, -1.08 + 0.26 * min(level, 3), (236, 232, 222))
    for row in range(min(level, 3)):
        sheet.box(-0.2, -1.0 + 0.25 * row, 0.2, -0.88 + 0.25 * row, fill)
    return sheet.done()


def _furniture(unit_px: float, kind: str, colour: str) -> Sprite:
    sheet = Sheet(unit_px, -1.0, -1.2, 1.0, 0.1)
    match kind:
        case "bag":
            sheet.stroke([-0.08, -0.2, -0.05, -0.28, 0.05, -0.28, 0.08, -0.2], (50, 40, 34), 0.03)
            sheet.box(-0.14, -0.21, 0.14, 0.0, COLOURS[colour])
            sheet.box(-0.14, -0.21, 0.14, -0.16, shade(COLOURS[colour], 0.7))
        case "bin":
            sheet.shape([-0.2, 0.0, -0.24, -0.5, 0.24, -0.5, 0.2, 0.0], PAINTS[colour])
            sheet.box(-0.26, -0.56, 0.26, -0.48, shade(PAINTS[colour], 0.6))
        case "burnt":
            sheet.shape([-0.2, 0.0, -0.24, -0.36, -0.05, -0.42, 0.1, -0.3, 0.24, -0.4, 0.2, 0.0], (30, 26, 24))
            sheet.oval(0.0, 0.0, 0.5, 0.07, (20, 18, 18, 170))
        case "grill":
            sheet.stroke([-0.2, 0.0, -0.08, -0.4], (50, 50, 54), 0.04)
            sheet.stroke([0.2, 0.0, 0.08, -0.4], (50, 50, 54), 0.04)
            sheet.shape([-0.16, -0.3, -0.26, -0.46, 0.26, -0.46, 0.16, -0.3], (40, 40, 44))
        case "bench":
            sheet.box(-0.5, -0.28, 0.5, -0.2, (140, 100, 62))
            sheet.box(-0.5, -0.52, 0.5, -0.42, (128, 92, 58))
            for x in (-0.44, 0.4):
                sheet.box(x, -0.5, x + 0.05, 0.0, (50, 48, 48))
        case "counter":
            sheet.box(-0.55, -0.5, 0.55, 0.0, (150, 116, 84))
            sheet.box(-0.6, -0.54, 0.6, -0.46, (214, 200, 180))
            sheet.box(0.12, -0.74, 0.38, -0.52, (54, 58, 66))
            sheet.box(0.16, -0.71, 0.34, -0.61, (120, 190, 170))
        case "drain":
            sheet.oval(0.0, 0.0, 0.26, 0.08, (44, 44, 46))
        case _:
            raise ValueError(f"No picture is known for the thing {kind!r}; add it to `_furniture`.")
    return sheet.done()


def _flame(unit_px: float, frame: int) -> Sprite:
    """A fire as high as `unit_px`, one of a few flickering shapes of it."""
    rng = np.random.default_rng((7, frame))
    height, width = max(3, round(unit_px)), max(3, round(0.9 * unit_px))
    y = np.linspace(1, 0, height)[:, None]  # 0 at the ground
    x = np.linspace(-1, 1, width)[None]
    heat = np.zeros((height, width))
    for _ in range(6):
        centre, top, spread = rng.uniform(-0.5, 0.5), rng.uniform(0.45, 1.0), rng.uniform(0.22, 0.4)
        bend = centre * (1 - 0.5 * y) + rng.uniform(-0.2, 0.2) * y
        share = np.clip(1 - y / top, 0, 1)
        heat = np.maximum(heat, share**0.6 * np.exp(-(((x - bend) / (spread * (0.25 + share))) ** 2)))
    red = np.clip(heat * 3.2, 0, 1) * 255
    colour = np.stack([red, np.clip(heat * 2.4 - 0.5, 0, 1) * 235, np.clip(heat * 2.4 - 1.5, 0, 1) * 190], -1)
    alpha = np.clip((heat - 0.14) * 5, 0, 1)[..., None] * 255
    picture = Image.fromarray(np.concatenate([colour, alpha], -1).astype(np.uint8), "RGBA")
    return picture, width // 2, height - 1


def _puff(unit_px: float, tone: str, strength: int) -> Sprite:
    """A soft ball of smoke `unit_px` across; `strength` from 0 (gone) to 8 (dense)."""
    side = max(3, round(unit_px))
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    ball = np.clip(1.15 - np.hypot(x, y), 0, 1) ** 1.2
    shade = 1 - 0.18 * y[..., None]
    tones = {"black": (42, 38, 38), "grey": (120, 118, 116), "white": (222, 224, 226), "fire": (250, 150, 50)}
    colour = np.clip(np.array(tones[tone], float) * shade, 0, 255)
    if tone == "fire":
        colour = colour + np.clip(ball[..., None] * 2 - 1, 0, 1) * (5, 90, 120)
    alpha = np.clip(ball * 1.6, 0, 1)[..., None] * 255 * strength / 8
    both = np.concatenate([np.clip(colour, 0, 255), alpha], -1).astype(np.uint8)
    return Image.fromarray(both, "RGBA"), side // 2, side // 2


def _small(unit_px: float, kind: str) -> Sprite:
    sheet = Sheet(unit_px, -0.8, -0.6, 0.8, 0.6)
    if kind == "spark":  # the flash of a muzzle, pointing right
        sheet.shape([0, -0.05, 0.22, -0.16, 0.16, -0.04, 0.42, 0.0, 0.16, 0.04, 0.22, 0.16, 0, 0.05], (255, 190, 60))
        sheet.shape([0, -0.03, 0.24, 0.0, 0, 0.03], (255, 255, 220))
    elif kind == "flash":  # of a camera: round and white
        sheet.oval(0, 0, 0.16, 0.16, (255, 255, 255))
    elif kind == "debris":
        sheet.shape([-0.07, 0.04, 0.0, -0.08, 0.08, 0.02], (36, 32, 30))
    else:
        sheet.oval(0, 0, 0.34 if kind == "shadow" else 1.05, 0.055 if kind == "shadow" else 0.09, (8, 8, 12, 90))
    return sheet.done()


def draw_thing(key: Key, unit_px: float) -> Sprite:
    """The picture a key names, beside a person of height `unit_px` pixels.

    Example:

    >>> picture, column, row = draw_thing(("car", "sedan", "red", "ok"), 24.0)
    >>> picture.mode, picture.width
    ('RGBA', 50)
    """
    match key:
        case ("figure", look, action, phase, item):
            return draw_figure(look, action, phase, item, unit_px)
        case ("car", style, colour, state):
            return _car(unit_px, style, colour, state)
        case ("shelf", seed, gaps):
            return _shelf(unit_px, seed, gaps)
        case ("window", state):
            return _window(unit_px, state)
        case ("graffiti", colour, level):
            return _graffiti(unit_px, colour, level)
        case ("poster", colour, level):
            return _poster(unit_px, colour, level)
        case ("flame", frame):
            return _flame(unit_px, frame)
        case ("puff", tone, strength):
            return _puff(unit_px, tone, strength)
        case (("spark" | "flash" | "debris" | "shadow" | "car_shadow") as kind,):
            return _small(unit_px, kind)
        case (kind, colour):
            return _furniture(unit_px, kind, colour)
    raise ValueError(f"No picture is known for the key {key!r}; add it to `draw_thing`.")
