"""People of the miniature set: what they wear, the poses they take, and the little pictures made of both."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw


RGB = tuple[int, int, int]
Angles = tuple[float, float]  # of the upper and the lower half of a limb, degrees from straight down, forward positive

COLOURS: dict[str, RGB] = {
    "red": (196, 44, 40),
    "blue": (48, 92, 190),
    "green": (52, 138, 70),
    "yellow": (226, 190, 52),
    "white": (228, 228, 224),
    "black": (34, 34, 38),
    "grey": (128, 130, 134),
    "orange": (226, 122, 40),
    "purple": (118, 62, 150),
    "pink": (224, 130, 158),
    "brown": (120, 82, 52),
}
COATS = (
    "red",
    "blue",
    "green",
    "yellow",
    "white",
    "black",
    "orange",
    "purple",
)  # told apart in 128 pixels, at night too
TROUSERS: dict[str, RGB] = {
    "dark": (44, 46, 60),
    "blue": (56, 76, 118),
    "grey": (96, 96, 100),
    "beige": (164, 144, 112),
}
SKINS: tuple[RGB, ...] = ((232, 190, 160), (204, 154, 120), (146, 100, 74), (104, 72, 54))
HAIRS: tuple[RGB, ...] = ((38, 30, 26), (84, 56, 36), (168, 132, 74), (150, 148, 146))
NAVY: RGB = (26, 34, 84)


@dataclass(frozen=True)
class Look:
    """Who somebody is to the eye: "man", "woman", "officer" or "worker", and the colours worn."""

    who: str
    coat: str
    trousers: str
    skin: int
    hair: int
    hat: str  # "", "cap" or "hood"

    @property
    def noun(self) -> str:
        """What the eye can tell: whether a hood is on a man or on a woman, it cannot."""
        if self.who in ("man", "woman") and self.hat == "hood":
            return "hooded person"
        return "police officer" if self.who == "officer" else self.who

    @property
    def dressed(self) -> bool:
        """Whether words tell the colour of the coat: officers and workers are told by what they are."""
        return self.who in ("man", "woman")


def make_look(rng: np.random.Generator, who: str = "", coat: str = "", hat: str | None = None) -> Look:
    """A passer-by; a hood or a cap says nothing about anybody's intentions, so anybody may wear one."""
    drawn = str(rng.choice(["man", "man", "woman"]))
    drawn_coat, drawn_hat = str(rng.choice(COATS)), str(rng.choice(["", "", "", "cap", "hood"]))
    trousers, skin, hair = str(rng.choice(list(TROUSERS))), int(rng.integers(len(SKINS))), int(rng.integers(4))
    return Look(who or drawn, coat or drawn_coat, trousers, skin, hair, drawn_hat if hat is None else hat)


@dataclass(frozen=True)
class Pose:
    """Joint angles of a body seen from the side and facing right; `roll` tips all of it over backwards."""

    near_arm: Angles = (4, 12)
    far_arm: Angles = (-4, 6)
    near_leg: Angles = (3, -2)
    far_leg: Angles = (-3, -6)
    lean: float = 0
    roll: float = 0


def _stride(phase: float, swing: float, bend: float, elbow: float, lean: float) -> Pose:
    beat, lift = math.sin(2 * math.pi * phase), math.cos(2 * math.pi * phase)
    near, far = swing * beat, -swing * beat
    near_leg = (near + lean / 2, near + lean / 2 - bend * max(0.0, lift) - 5)
    far_leg = (far + lean / 2, far + lean / 2 - bend * max(0.0, -lift) - 5)
    return Pose((far * 0.9, far * 0.9 + elbow), (near * 0.9, near * 0.9 + elbow), near_leg, far_leg, lean)


CROUCH = {"near_leg": (105, -40), "far_leg": (80, -75)}
KNEEL = {"near_leg": (20, -88), "far_leg": (5, -88)}


def _moving(action: str, phase: float) -> Pose | None:
    """Getting about, standing, going down and getting up."""
    wave = math.sin(2 * math.pi * phase)
    match action:
        case "walk":
            return _stride(phase, 30, 38, 14, 2)
        case "run":
            return _stride(phase, 52, 85, 85, 16)
        case "led":
            walk = _stride(phase, 22, 30, 0, 14)
            return Pose((-32, -64), (-36, -68), walk.near_leg, walk.far_leg, 14)
        case "grip":
            walk = _stride(phase, 22, 30, 0, 4)
            return Pose((50, 84), (56, 88), walk.near_leg, walk.far_leg, 4)
        case "stand":
            return Pose(lean=wave)
        case "talk":
            return Pose(near_arm=(18 + 8 * wave, 70 + 28 * wave), lean=2 * wave)
        case "point":
            return Pose(near_arm=(88 + 4 * wave, 92 + 4 * wave))
        case "phone":
            return Pose((34, 148), (4, 14))
        case "crouch":
            return Pose((50 + 8 * wave, 66 + 10 * wave), (40, 60), **CROUCH, lean=34)
        case "bend" | "unbend":
            down = phase if action == "bend" else 1 - phase
            arms = ((30 + 20 * down, 36 + 20 * down), (20, 30))
            return Pose(*arms, (35 * down, -35 * down), (20 * down, -40 * down), 70 * down)
        case "fall":
            return Pose((60, 80), (-40, -10), (20 * phase, -10), (-10, -20), -10 * phase, -88 * phase)
        case "lie":
            return Pose((70, 95), (-24, -4), (14, -12), (-6, -10), 0, -88 + wave)
        case "rise":
            return Pose((40, 50), (-20, 10), (50 * (1 - phase), -20), (0, -10), 20 * (1 - phase), -88 * (1 - phase))
    return None


def _forceful(action: str, phase: float) -> Pose | None:
    """What people do to each other."""
    wave = math.sin(2 * math.pi * phase)
    match action:
        case "guard":
            return Pose((40, 130), (50, 140), (18, -6), (-16, -26), 6)
        case "punch":
            near = phase < 0.5
            out = 1 - abs(4 * (phase % 0.5) - 1)  # there and back, one fist after the other
            jab, rest = (40 + 55 * out, 130 - 38 * out), (45, 135)
            return Pose(jab if near else rest, rest if near else jab, (24, 0), (-20, -32), 8 + 12 * out)
        case "shove":
            out = 1 - abs(2 * phase - 1)
            return Pose(
                (40 + 48 * out, 110 - 20 * out), (46 + 44 * out, 116 - 24 * out), (22, -4), (-20, -34), 14 * out
            )
        case "reel":
            return Pose((-30, 10), (60, 90), (-12, -20), (22, 14), -20 + 6 * wave)
        case "kick":
            out = 1 - abs(2 * phase - 1)
            return Pose((30, 90), (-30, 10), (10 + 60 * out, -30 + 90 * out), (-6, -10), -10 * out)
        case "swing":
            out = 1 - abs(2 * phase - 1)
            return Pose(
                (165 - 95 * out, 190 - 95 * out), (160 - 95 * out, 185 - 95 * out), (20, 0), (-18, -28), -6 + 22 * out
            )
        case "aim":
            return Pose((90, 90), (84, 90), (16, 0), (-16, -20), 2)
        case "shoot":
            kick = 14 * max(0.0, 1 - 3 * phase)
            return Pose((90 + kick, 90 + kick), (84 + kick, 90 + kick), (16, 0), (-16, -20), 2 - kick / 4)
        case "hands_up":
            return Pose((150 + 4 * wave, 172), (158 - 4 * wave, 178))
        case "kneel":
            return Pose((150, 176), (156, 170), **KNEEL)
        case "cuffed":
            return Pose((-32, -62), (-36, -66), **KNEEL, lean=10)
    return None


def _handling(action: str, phase: float) -> Pose | None:
    """What hands do with things, and for joy."""
    wave = math.sin(2 * math.pi * phase)
    match action:
        case "pour":
            return Pose((64 + 8 * wave, 74 + 10 * wave), (50, 70), (20, -10), (-12, -24), 24)
        case "reach":
            return Pose((96 + 12 * wave, 104 + 14 * wave), (6, 20), lean=6)
        case "give":
            return Pose((66 + 5 * wave, 84), (10, 30), lean=5)
        case "hide":
            return Pose((14, 112 + 12 * wave), (22, 120), lean=10)
        case "hug":
            return Pose((70, 112 + 6 * wave), (84, 96), (6, -2), (-8, -14), 9)
        case "cheer":
            return Pose(
                (130 + 26 * wave, 160 + 16 * wave), (120 - 26 * wave, 150 - 16 * wave), (10 * wave, 0), (-8, -12)
            )
        case "alarm":
            return Pose((150 + 24 * wave, 168 + 24 * wave), (72, 86), (16, -4), (-14, -26), 10)
        case "spray":
            return Pose((108 + 30 * wave, 112 + 30 * wave), (6, 30), lean=4)
        case "wipe":
            return Pose((112 + 30 * wave, 118 + 36 * wave), (6, 30), lean=3)
        case "photo":
            return Pose((64, 142), (60, 138), (6, 0), (-6, -8), -2)
    return None


def pose_of(action: str, phase: float) -> Pose:
    """The pose `phase` (0 to 1) of the way through an action, or through one round of it if it repeats."""
    pose = _moving(action, phase) or _forceful(action, phase) or _handling(action, phase)
    if pose is None:
        raise ValueError(f"No pose is known for the action {action!r}; add it to `pose_of`.")
    return pose


# how many pictures an action is made of, and how often it repeats a second (0: once, over its whole length)
FRAMES = {
    "walk": 8,
    "run": 8,
    "led": 8,
    "grip": 8,
    "stand": 2,
    "lie": 2,
    "aim": 1,
    "guard": 1,
    "kneel": 1,
    "cuffed": 1,
}
RATES = {
    "fall": 0.0,
    "rise": 0.0,
    "bend": 0.0,
    "unbend": 0.0,
    "shoot": 1.0,
    "punch": 1.5,
    "shove": 1.0,
    "swing": 1.1,
    "kick": 1.2,
}
RATES |= {"stand": 0.3, "lie": 0.3, "talk": 0.7, "reach": 0.5, "cheer": 1.2, "alarm": 1.2, "reel": 0.9}


def _limb(draw: ImageDraw.ImageDraw, points: list[tuple[float, float]], width: float, colour: RGB) -> None:
    draw.line(points, fill=colour, width=max(1, round(width)), joint="curve")
    for x, y in (points[0], points[-1]):
        draw.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=colour)


def shade(colour: RGB, factor: float) -> RGB:
    red, green, blue = (min(255, round(channel * factor)) for channel in colour)
    return red, green, blue


def _along(start: np.ndarray, angle: float, length: float) -> np.ndarray:
    """The end of a limb that hangs from `start`; picture axes, so down is positive."""
    return start + length * np.array([math.sin(math.radians(angle)), math.cos(math.radians(angle))])


def _joints(pose: Pose) -> dict[str, np.ndarray]:
    """Joint places for a body of height 1 whose lowest foot stands at the origin."""
    hip = np.zeros(2)
    neck = _along(hip, 180 - pose.lean, 0.33)
    joints = {"hip": hip, "neck": neck, "head": _along(neck, 180 - pose.lean * 1.3, 0.1)}
    shoulder = _along(hip, 180 - pose.lean, 0.29)
    for side, arm, leg in (("near", pose.near_arm, pose.near_leg), ("far", pose.far_arm, pose.far_leg)):
        joints[f"{side}_shoulder"] = shoulder
        joints[f"{side}_elbow"] = _along(shoulder, arm[0], 0.17)
        joints[f"{side}_hand"] = _along(joints[f"{side}_elbow"], arm[1], 0.17)
        joints[f"{side}_knee"] = _along(hip, leg[0], 0.25)
        joints[f"{side}_ankle"] = _along(joints[f"{side}_knee"], leg[1], 0.24)
        joints[f"{side}_toe"] = joints[f"{side}_ankle"] + (0.07, 0.02)
    cos, sin = math.cos(math.radians(pose.roll)), math.sin(math.radians(pose.roll))
    turned = {name: np.array([cos * x - sin * y, sin * x + cos * y]) for name, (x, y) in joints.items()}
    lowest = max(float(point[1]) for point in turned.values()) + 0.03
    centre = 0.5 * (turned["hip"][0] + turned["neck"][0]) * abs(math.sin(math.radians(pose.roll)))
    return {name: point - (centre, lowest) for name, point in turned.items()}


def _draw_item(draw: ImageDraw.ImageDraw, item: str, hand: np.ndarray, angle: float, unit: float) -> None:
    """What the near hand holds; `hand` in pixels, `angle` of the forearm, `unit` pixels for one body height."""
    kind, _, colour_name = item.partition(":")
    colour = COLOURS.get(colour_name, (90, 70, 50))
    x, y = hand.tolist()

    def box(left: float, top: float, right: float, bottom: float, fill: RGB) -> None:
        draw.rectangle((x + left * unit, y + top * unit, x + right * unit, y + bottom * unit), fill=fill)

    match kind:
        case "gun":
            tip = _along(hand, angle, 0.21 * unit)  # larger than life, to be seen at 112 pixels
            _limb(draw, [(x, y), tuple(tip)], 0.07 * unit, (12, 12, 14))
            _limb(draw, [(x, y), (x, y + 0.09 * unit)], 0.055 * unit, (12, 12, 14))
        case "bat":
            tip = _along(hand, angle + 25, 0.5 * unit)
            _limb(draw, [(x, y), tuple(tip)], 0.075 * unit, (226, 178, 100))
        case "bag":
            draw.arc((x - 0.08 * unit, y - 0.03 * unit, x + 0.08 * unit, y + 0.16 * unit), 180, 360, (50, 40, 34), 2)
            box(-0.13, 0.05, 0.13, 0.25, colour)
            box(-0.13, 0.05, 0.13, 0.09, shade(colour, 0.7))
        case "can":
            box(-0.09, 0.0, 0.09, 0.2, (206, 40, 32))
            box(0.05, -0.06, 0.09, 0.0, (40, 40, 40))
        case "spray" | "spraying":
            if kind == "spraying":
                mist = (0.02, -0.08, 0.34, -0.2, 0.38, -0.05, 0.34, 0.08)
                place = [value * unit + (x, y)[number % 2] for number, value in enumerate(mist)]
                draw.polygon(place, fill=(*colour, 150))
            box(-0.04, -0.11, 0.04, 0.06, colour)
        case "cloth":
            box(-0.06, -0.07, 0.06, 0.07, (236, 236, 240))
        case "parcel":
            box(-0.06, -0.14, 0.26, 0.12, (196, 148, 90))
            box(0.08, -0.14, 0.12, 0.12, (226, 206, 160))
        case "basket":
            box(-0.14, 0.06, 0.14, 0.2, (214, 60, 50))
            box(-0.1, 0.0, 0.1, 0.06, (240, 210, 90))
        case "goods":
            box(-0.08, -0.14, 0.1, 0.08, colour)
            box(-0.08, -0.05, 0.1, -0.01, (250, 250, 245))
        case "camera":
            box(-0.02, -0.08, 0.14, 0.05, (30, 30, 34))
            box(0.12, -0.05, 0.17, 0.02, (150, 170, 200))
        case "phone":
            box(-0.03, -0.07, 0.03, 0.04, (24, 24, 28))
        case _:
            raise ValueError(f"No picture is known for the item {item!r}; add it to `_draw_item`.")


def _clothes(look: Look) -> tuple[RGB, RGB]:
    if look.who == "officer":
        return NAVY, (22, 26, 50)
    return COLOURS[look.coat], TROUSERS[look.trousers]


def _draw_head(draw: ImageDraw.ImageDraw, look: Look, head: np.ndarray, tilt: float, unit: float) -> None:
    radius = 0.09 * unit
    x, y = head.tolist()
    face, hair = SKINS[look.skin], HAIRS[look.hair]
    if look.hat == "hood" and look.who not in ("officer", "worker"):
        coat = shade(COLOURS[look.coat], 0.8)
        draw.ellipse((x - 1.25 * radius, y - 1.3 * radius, x + 1.05 * radius, y + 1.3 * radius), fill=coat)
        draw.ellipse((x - 0.05 * radius, y - 0.7 * radius, x + 1.0 * radius, y + 0.7 * radius), fill=shade(face, 0.75))
        return
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=face)
    draw.pieslice((x - 1.1 * radius, y - 1.15 * radius, x + radius, y + radius), 150, 330, fill=hair)
    if look.who == "woman":  # hair down to the shoulders, larger than life, to be seen at 112 pixels
        draw.ellipse((x - 1.5 * radius, y - 1.1 * radius, x - 0.05 * radius, y + 2.3 * radius), fill=hair)
    top = {"officer": NAVY, "worker": (240, 200, 40)}.get(look.who, shade(COLOURS[look.coat], 0.7))
    if look.hat == "cap" or look.who in ("officer", "worker"):
        draw.pieslice((x - 1.1 * radius, y - 1.25 * radius, x + 1.1 * radius, y + 0.6 * radius), 180, 360, fill=top)
        draw.rectangle((x, y - 0.5 * radius, x + 1.6 * radius, y - 0.2 * radius), fill=top)


def _skirt(draw: ImageDraw.ImageDraw, joints: dict[str, np.ndarray], colour: RGB, unit: float) -> None:
    """The lower half of a long coat, from the hip to above the knees."""
    hip, down = joints["hip"], 0.5 * (joints["near_knee"] + joints["far_knee"]) - joints["hip"]
    length = max(1e-6, float(np.hypot(*down)))
    across = np.array([-down[1], down[0]]) / length * unit
    hem = hip + down * 0.9
    corners = (hip - 0.1 * across, hip + 0.1 * across, hem + 0.19 * across, hem - 0.19 * across)
    draw.polygon([tuple(corner) for corner in corners], fill=shade(colour, 0.9))


def draw_figure(look: Look, action: str, phase: float, item: str, height_px: float) -> tuple[Image.Image, int, int]:
    """A person facing right.

    Args:
        look (`Look`): Who it is.
        action (`str`): What the body does, see `pose_of`.
        phase (`float`): How far the action is, in [0, 1].
        item (`str`): What the near hand holds, "" for nothing, as "bag:red".
        height_px (`float`): Height of the standing body in pixels.

    Returns:
        `tuple`: The RGBA picture, and the column and row in it of the point of the ground the person stands on.
    """
    oversample = 4 if height_px < 60 else 2
    pose = pose_of(action, phase)
    unit = height_px * oversample
    size = np.array([math.ceil(2.4 * height_px), math.ceil(1.75 * height_px)])
    anchor = np.array([size[0] // 2, math.floor(1.6 * height_px)])
    joints = {name: anchor * oversample + unit * place for name, place in _joints(pose).items()}
    picture = Image.new("RGBA", tuple(int(side) for side in size * oversample))
    draw = ImageDraw.Draw(picture)
    coat, trousers = _clothes(look)

    def limb(names: tuple[str, ...], width: float, colour: RGB) -> None:
        _limb(draw, [tuple(joints[name]) for name in names], width * unit, colour)

    limb(("far_shoulder", "far_elbow", "far_hand"), 0.07, shade(coat, 0.62))
    for side, tone in (("far", 0.72), ("near", 1.0)):
        limb(("hip", f"{side}_knee", f"{side}_ankle"), 0.1, shade(trousers, tone))
        limb((f"{side}_ankle", f"{side}_toe"), 0.055, (30, 26, 26))
    limb(("hip", "neck"), 0.22, coat)
    if look.who == "woman" and look.hat != "hood":
        _skirt(draw, joints, coat, unit)
    if look.who == "worker":  # a vest one can see from afar
        limb(("hip", "neck"), 0.22, (240, 150, 30))
        limb(("near_shoulder", "hip"), 0.05, (240, 240, 170))
    if look.who == "officer":
        middle = 0.5 * (joints["hip"] + joints["neck"])
        _limb(draw, [tuple(middle - (0.08 * unit, 0)), tuple(middle + (0.08 * unit, 0))], 0.05 * unit, (220, 232, 120))
    _draw_head(draw, look, joints["head"], pose.lean, unit)
    if item:
        _draw_item(draw, item, joints["near_hand"], pose.near_arm[1] - pose.roll, unit)
    limb(("near_shoulder", "near_elbow", "near_hand"), 0.075, shade(coat, 0.84))
    hand = joints["near_hand"]
    _limb(draw, [tuple(hand), tuple(hand)], 0.065 * unit, SKINS[look.skin])
    small = picture.resize(tuple(int(side) for side in size), Image.Resampling.BOX)
    left, top, right, bottom = small.getbbox() or (0, 0, 1, 1)
    return small.crop((left, top, right, bottom)), int(anchor[0]) - left, int(anchor[1]) - top


@lru_cache(maxsize=64)
def frames_of(action: str) -> tuple[int, float]:
    """How many pictures the action has, and how many rounds of it pass in a second (0 means: once in all)."""
    return FRAMES.get(action, 6), RATES.get(action, 0.8)
