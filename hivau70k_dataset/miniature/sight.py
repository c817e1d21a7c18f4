"""What can be seen at a moment of a miniature video: people, vehicles and coloured things, and where each is."""

from dataclasses import dataclass

import numpy as np

from .figures import Look
from .layouts import MARGIN
from .stage import Stage


KINDS = ("figure", "car", "bag", "bin", "graffiti", "poster")
SOLID = 127  # alpha above which a picture hides what is behind it
VISIBLE, HIDDEN = 0.5, 0.12  # shares of a body: from one on it is seen for certain, below the other it is not

# What somebody does, by what the body does; actions that say little to the eye have no word.
DOING: dict[str, str] = {
    "walk": "walking",
    "grip": "walking",
    "led": "being led away",
    "run": "running",
    "stand": "standing",
    "talk": "standing",
    "phone": "using a phone",
    "point": "pointing",
    "crouch": "crouching",
    "bend": "bending down",
    "unbend": "bending down",
    "fall": "falling",
    "lie": "lying on the ground",
    "rise": "getting up",
    "guard": "fighting",
    "punch": "fighting",
    "shove": "fighting",
    "kick": "kicking",
    "reel": "staggering",
    "swing": "swinging a bat",
    "aim": "aiming a gun",
    "shoot": "aiming a gun",
    "hands_up": "raising both hands",
    "kneel": "kneeling",
    "cuffed": "kneeling",
    "pour": "pouring fuel",
    "reach": "reaching out",
    "give": "handing something over",
    "hide": "hiding something",
    "hug": "hugging",
    "cheer": "dancing",
    "alarm": "waving",
    "spray": "spraying paint",
    "wipe": "wiping",
    "photo": "taking a photo",
}


@dataclass(frozen=True)
class Seen:
    """Somebody or something in the picture.

    Args:
        key (`tuple`): The picture's key: ("figure", look, action, phase, item), ("car", style, colour, state), or
            another whose second part is a colour.
        box (`tuple[float, float, float, float]`): Left, top, right and bottom of what shows, in shares of the picture.
        share (`float`): How much of it shows: the rest is hidden by something, or outside of the picture.
    """

    key: tuple
    box: tuple[float, float, float, float]
    share: float

    @property
    def look(self) -> Look | None:
        """Who it is; `None` for a thing."""
        return self.key[1] if self.key[0] == "figure" else None

    @property
    def doing(self) -> str:
        """What the person does."""
        return DOING[self.key[2]]

    @property
    def vehicle(self) -> str:
        """ "car" or "van", "" for anything else."""
        return ("van" if self.key[1] == "van" else "car") if self.key[0] == "car" else ""

    @property
    def colour(self) -> str:
        """Of a vehicle's paint, "burnt" for a wreck."""
        return "burnt" if self.key[3] == "wreck" else self.key[2]

    @property
    def labels(self) -> tuple[str, ...]:
        """The words for what shows: of a person who, the colour of the coat, what is done and what the hand holds."""
        look = self.look
        if look is not None:
            held = self.key[4].replace("spraying", "spray").partition(":")
            item = f"{held[2]} {held[0]}".strip()
            return tuple(filter(None, (look.noun, look.coat if look.dressed else "", self.doing, item)))
        if self.vehicle:
            state = {"ok": "", "wreck": ""}.get(self.key[3], self.key[3])
            return tuple(filter(None, (self.vehicle, f"{self.colour} {self.vehicle}", state)))
        return (f"{self.key[1]} {self.key[0]}",)


def look_at(stage: Stage, time_s: float) -> list[Seen]:
    """People and things of which something shows at a time, from left to right."""
    side = round(stage.size * (1 + 2 * MARGIN))
    owner = np.full((side, side), -1, np.int32)
    things: list[tuple[tuple, int]] = []  # key, and the pixels it would have alone
    for shot, picture, (left, top) in stage.placed(time_s):
        solid = np.asarray(picture.getchannel("A")) > SOLID
        number = -1
        if shot.key[0] in KINDS:
            number = len(things)
            things.append((shot.key, int(solid.sum())))
        x0, y0, x1, y1 = max(0, left), max(0, top), min(side, left + solid.shape[1]), min(side, top + solid.shape[0])
        if x0 < x1 and y0 < y1:
            owner[y0:y1, x0:x1][solid[y0 - top : y1 - top, x0 - left : x1 - left]] = number
    x, y = stage.corner(time_s)
    owner = owner[y : y + stage.size, x : x + stage.size]
    seen = []
    for number, (key, pixels) in enumerate(things):
        rows, columns = np.nonzero(owner == number)
        if len(rows):
            box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            seen.append(Seen(key, tuple(float(edge) / stage.size for edge in box), len(rows) / max(1, pixels)))
    return sorted(seen, key=lambda one: one.box[0] + one.box[2])
