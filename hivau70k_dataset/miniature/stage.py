"""The stage of the miniature set: people, things, vehicles, fire and light that follow a script, and the camera.

Whatever stands on the stage is a list of dated states; `shots(time_s)` says which pictures it puts where at that time.
"""

import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageChops

from .figures import Look, frames_of
from .layouts import MARGIN, Layout, paint
from .things import EMISSIVE, Key, Sprite, draw_thing


WALK, RUN = 0.62, 1.75  # body heights a second
CAR = 0.78  # vehicles are drawn a little small, so that more of the place is seen
ALWAYS = -math.inf  # when a state begins that was there before everything
GRAINS = 12  # pictures of noise, used in turn


class Shot(NamedTuple):
    """One picture to put on the stage: where it stands, what hides what (`depth`), and its size in body heights."""

    x: float
    y: float
    depth: float
    key: Key
    size: float = 1.0
    flip: bool = False


class Glow(NamedTuple):
    """Light added around a place: radius in shares of the picture, colour in levels of 0 to 255."""

    x: float
    y: float
    radius: float
    colour: tuple[float, float, float]


@dataclass(frozen=True)
class Segment:
    start_s: float
    end_s: float
    action: str
    start: tuple[float, float]
    end: tuple[float, float]
    facing: int
    item: str


class Puppet:
    """A person who follows a script; every call adds to it, from where and when the last one ended."""

    def __init__(
        self, layout: Layout, look: Look, x: float, y: float, start_s: float, facing: int = 1, item: str = ""
    ):
        self.layout, self.look, self.x, self.y, self.clock = layout, look, x, y, start_s
        self.facing, self.item = facing, item
        self.segments: list[Segment] = []
        self.starts: list[float] = []

    def _add(self, action: str, seconds: float, x: float, y: float) -> None:
        if seconds > 0:
            end_s = self.clock + seconds
            spot = (self.x, self.y)
            self.segments.append(Segment(self.clock, end_s, action, spot, (x, y), self.facing, self.item))
            self.starts.append(self.clock)
            self.clock = end_s
        self.x, self.y = x, y

    def go(self, x: float, y: float | None = None, action: str = "walk", speed: float | None = None) -> "Puppet":
        """Walk (or "run") to a place, at `speed` body heights a second."""
        y = self.y if y is None else y
        pace = speed or {"run": RUN, "led": 0.45, "grip": 0.45}.get(action, WALK)
        length = math.hypot(x - self.x, 1.6 * (y - self.y))
        if abs(x - self.x) > 0.01:
            self.facing = 1 if x > self.x else -1
        self._add(action, length / (pace * self.layout.scale(0.5 * (y + self.y))), x, y)
        return self

    def do(self, action: str, seconds: float, facing: int = 0, dx: float = 0.0) -> "Puppet":
        """Do something on the spot (or while drifting by `dx`) for so many seconds."""
        self.facing = facing or self.facing
        self._add(action, seconds, self.x + dx, self.y)
        return self

    def until(self, time_s: float, action: str = "stand", facing: int = 0) -> "Puppet":
        return self.do(action, max(0.0, time_s - self.clock), facing)

    def hold(self, item: str) -> "Puppet":
        self.item = item
        return self

    def stoop(self, item: str = "") -> float:
        """Bend down, come up with `item` in the hand ("" puts down what was held); returns when the hand is below."""
        self.do("bend", 0.6).hold(item).do("unbend", 0.6)
        return self.clock - 0.6

    def leave(self, side: int, action: str = "walk", speed: float | None = None) -> "Puppet":
        """Go out of the picture to the left (-1) or to the right (1)."""
        return self.go(0.5 + 0.68 * side, action=action, speed=speed)

    def shots(self, time_s: float) -> Iterator[Shot]:
        """What the person looks like at a time, none when out of the picture."""
        index = bisect_right(self.starts, time_s) - 1
        if index < 0 or time_s >= self.segments[index].end_s:
            return
        part = self.segments[index]
        share = (time_s - part.start_s) / (part.end_s - part.start_s)
        x, y = (a + (b - a) * share for a, b in zip(part.start, part.end))
        count, rate = frames_of(part.action)
        if part.action in ("walk", "run", "led", "grip"):
            strides = {"run": 1.35}.get(part.action, 0.85) * self.layout.scale(y)
            gone = math.hypot(part.end[0] - part.start[0], part.end[1] - part.start[1]) * share
            phase = gone / strides + part.start[1] * 7
        else:
            phase = share if rate == 0 else (time_s - part.start_s) * rate
        frame = int(phase * count) % count / max(1, count - (rate == 0))
        yield Shot(x, y, y - 0.002, ("shadow",))
        yield Shot(x, y, y, ("figure", self.look, part.action, frame, part.item), 1.0, part.facing < 0)


@dataclass
class Prop:
    """A thing that stays where it is and changes from state to state: `[(from_s, key or None)]`."""

    x: float
    y: float
    states: list[tuple[float, Key | None]]
    size: float = 1.0
    nearer: float = 0.0  # added to its depth
    flip: bool = False

    def shots(self, time_s: float) -> Iterator[Shot]:
        """What the person looks like at a time, none when out of the picture."""
        index = bisect_right(self.states, time_s, key=lambda state: state[0]) - 1
        key = self.states[index][1] if index >= 0 else None
        if key:
            yield Shot(self.x, self.y, self.y + self.nearer, key, self.size, self.flip)


@dataclass
class Vehicle:
    """A car or a van that drives along a row through `knots` of (time, x), the slope between them smoothed."""

    y: float
    knots: list[tuple[float, float]]
    style: str
    colour: str
    facing: int
    lamps: bool
    states: list[tuple[float, str]] = field(default_factory=lambda: [(ALWAYS, "ok")])

    def place(self, time_s: float) -> float:
        times, places = zip(*self.knots)
        near = np.interp(np.linspace(time_s - 0.35, time_s + 0.35, 7), times, places)
        return float(near.mean())

    def shown(self, time_s: float) -> bool:
        return self.knots[0][0] <= time_s <= self.knots[-1][0]

    def shots(self, time_s: float) -> Iterator[Shot]:
        if not self.shown(time_s):
            return
        state = self.states[bisect_right(self.states, time_s, key=lambda state: state[0]) - 1][1]
        x = self.place(time_s)
        yield Shot(x, self.y, self.y - 0.004, ("car_shadow",), CAR)
        yield Shot(x, self.y, self.y, ("car", self.style, self.colour, state), CAR, self.facing < 0)

    def glows(self, time_s: float) -> Iterator[Glow]:
        if self.lamps and self.shown(time_s):
            yield Glow(self.place(time_s) + self.facing * 0.26, self.y - 0.05, 0.16, (120, 110, 70))


@dataclass
class Fire:
    """Flames whose height in body heights goes through `course`, points of (time, height), and the smoke over them."""

    x: float
    y: float
    course: list[tuple[float, float]]
    width: float  # in body heights: several flames stand side by side
    smoke: str = "black"
    smoke_size: float = 1.0
    lift: float = 0.0  # of the foot of the flames above the ground, in shares of the picture

    def height(self, time_s: float) -> float:
        times, heights = zip(*self.course)
        return float(np.interp(time_s, times, heights, left=0.0, right=0.0))

    def shots(self, time_s: float) -> Iterator[Shot]:
        yield from self._smoke(time_s)
        height = self.height(time_s)
        if height < 0.08:
            return
        count = max(1, round(self.width / max(0.35, 0.6 * height)))
        for place in range(count):
            shift = (place - (count - 1) / 2) * self.width / count * 0.25
            frame = int(time_s * 9 + place * 5) % 8
            yield Shot(
                self.x + shift, self.y - self.lift, self.y + 0.003, ("flame", frame), height * (1 - 0.2 * (place % 2))
            )

    def _smoke(self, time_s: float) -> Iterator[Shot]:
        every_s, life_s = 0.4, 4.0
        first = math.ceil((time_s - life_s - self.course[0][0]) / every_s)
        for number in range(max(0, first), int((time_s - self.course[0][0]) / every_s) + 1):
            born_s = self.course[0][0] + number * every_s
            source = self.height(born_s)
            age_s = time_s - born_s
            if source < 0.15 or age_s < 0:
                continue
            age = age_s / life_s
            sway = 0.05 * math.sin(number * 2.4) + 0.07 * age
            strength = round(min(6.0, 9 * source) * (1 - age))
            size = self.smoke_size * (0.35 + 1.1 * age) * (0.5 + 0.6 * min(1.0, source))
            rise = self.lift + 0.1 * source + 0.55 * age * (0.4 + 0.6 * min(1.0, source))
            if strength > 0:
                yield Shot(self.x + sway, self.y - rise, self.y + 0.004, ("puff", self.smoke, strength), size)

    def glows(self, time_s: float) -> Iterator[Glow]:
        height = self.height(time_s)
        if height > 0.08:
            light = min(1.2, height) * (0.85 + 0.15 * math.sin(17 * time_s))
            yield Glow(
                self.x, self.y - self.lift - 0.05, 0.2 + 0.2 * min(1.0, height), (90 * light, 50 * light, 14 * light)
            )


@dataclass
class Blast:
    """The ball of fire of an explosion, its flash and its debris."""

    x: float
    y: float
    start_s: float
    seed: int

    def shots(self, time_s: float) -> Iterator[Shot]:
        """What flies about at a time."""
        age = time_s - self.start_s
        if not 0 <= age < 2.6:
            return
        rng = np.random.default_rng(self.seed)
        for direction, speed, size in rng.uniform((0, 0.3, 0.7), (math.tau, 1.0, 1.4), (12, 3)):
            reach = 0.24 * speed * (1 - math.exp(-3.5 * age))
            x, y = (
                self.x + reach * math.cos(direction),
                self.y - 0.12 - 0.1 * age - 0.8 * reach * abs(math.sin(direction)),
            )
            tone = "fire" if age < 0.55 + 0.5 * speed else "black"
            strength = round(8 * min(1.0, (2.6 - age) / 1.3))
            if strength > 0:
                yield Shot(x, y, self.y + 0.05, ("puff", tone, strength), size * (0.6 + 1.1 * min(1.0, age * 1.4)))
        for direction, speed in rng.uniform((0.3, 0.5), (2.84, 1.0), (9, 2)):
            x = self.x + 0.5 * speed * math.cos(direction) * age
            y = self.y - 0.1 - 0.75 * speed * math.sin(direction) * age + 0.55 * age * age
            if y < self.y + 0.06:
                yield Shot(x, y, self.y + 0.06, ("debris",))

    def glows(self, time_s: float) -> Iterator[Glow]:
        age = time_s - self.start_s
        if 0 <= age < 2:
            light = math.exp(-2.2 * age)
            yield Glow(self.x, self.y - 0.15, 0.75, (230 * light, 170 * light, 90 * light))


@dataclass
class Flicker:
    """A small light that flashes at given times: a muzzle ("spark") or a camera ("flash")."""

    kind: str
    x: float
    y: float
    depth: float
    times_s: list[float]
    facing: int
    reach: float  # radius of the light around it, shares of the picture
    length_s: float = 0.16

    def _lit(self, time_s: float) -> bool:
        return any(start <= time_s < start + self.length_s for start in self.times_s)

    def shots(self, time_s: float) -> Iterator[Shot]:
        if self._lit(time_s):
            yield Shot(self.x, self.y, self.depth + 0.01, (self.kind,), 1.0, self.facing < 0)

    def glows(self, time_s: float) -> Iterator[Glow]:
        if self._lit(time_s):
            colour = (150.0, 110.0, 50.0) if self.kind == "spark" else (120.0, 125.0, 135.0)
            yield Glow(self.x, self.y, self.reach, colour)


@dataclass
class Lamp:
    """A steady or blinking light: headlights that face the camera, or the blue lamp of a police car."""

    x: float
    y: float
    spans_s: list[tuple[float, float]]
    radius: float
    colour: tuple[float, float, float]

    def shots(self, time_s: float) -> Iterator[Shot]:
        return iter(())

    def glows(self, time_s: float) -> Iterator[Glow]:
        if any(start <= time_s < end for start, end in self.spans_s):
            yield Glow(self.x, self.y, self.radius, self.colour)


Actor = Puppet | Prop | Vehicle | Fire | Blast | Flicker | Lamp


@dataclass(frozen=True)
class Camera:
    """What the camera adds: the hour's light, exposure, shaking and noise."""

    light: tuple[float, float, float]  # what the hour makes of white
    lamps: bool
    tint: tuple[float, float, float]  # of this video's walls and ground
    noise: float  # standard deviation in levels of 0 to 255
    shake: float  # everyday amplitude, share of the picture
    gusts: tuple[tuple[float, float, float], ...]  # start, length in seconds, amplitude
    exposure: tuple[tuple[float, float], ...]  # (time, gain), linear in between
    phase: float


class Stage:
    """A place, the actors on it and a camera: `frame(index, time_s)` is what it delivers."""

    def __init__(self, layout: Layout, camera: Camera, actors: list[Actor], size: int):
        self.layout, self.camera, self.actors, self.size = layout, camera, actors, size
        light = np.array(camera.light)
        dim = np.minimum(1.0, 0.3 + 0.35 * light + 0.35 * light.mean())  # less than the place: people stay visible
        self.night = None if light.min() > 0.95 else tuple(dim.tolist())
        self.sprites: dict[tuple, Sprite] = {}
        self.halos: dict[int, np.ndarray] = {}

    @cached_property
    def background(self) -> Image.Image:
        """The empty place."""
        camera = self.camera
        return paint(self.layout, self.size, np.array(camera.light), camera.lamps, np.array(camera.tint))

    @cached_property
    def grains(self) -> list[Image.Image]:
        """Pictures of the camera's noise."""
        rng = np.random.default_rng(round(1e6 * self.camera.phase))
        return [self._grain(rng) for _ in range(GRAINS)]

    def _grain(self, rng: np.random.Generator) -> Image.Image:
        """One picture of noise around 128, more of it in brightness than in colour."""
        side, noise = self.background.width, self.camera.noise
        grain = rng.normal(128.5, noise, (side, side, 1)) + rng.normal(0, 0.4 * noise, (side, side, 3))
        return Image.fromarray(np.clip(grain, 0, 255).astype(np.uint8))

    def _sprite(self, shot: Shot) -> Sprite:
        height_px = max(2.0, shot.size * self.layout.scale(min(1.0, max(self.layout.floor_y, shot.depth))) * self.size)
        level = round(math.log(height_px) / math.log(1.04))  # steps of 4 %, so that pictures can be used again
        name = (shot.key, level, shot.flip)
        if name not in self.sprites:
            self.sprites[name] = self._draw(shot.key, 1.04**level, shot.flip)
        return self.sprites[name]

    def _draw(self, key: Key, height_px: float, flip: bool) -> Sprite:
        picture, column, row = draw_thing(key, height_px)
        if self.night and key[0] not in EMISSIVE and key[:2] != ("puff", "fire"):
            pixels = np.asarray(picture).astype(np.float32)
            pixels[..., :3] *= self.night
            picture = Image.fromarray(pixels.astype(np.uint8), "RGBA")
        if flip:
            return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT), picture.width - 1 - column, row
        return picture, column, row

    def placed(self, time_s: float) -> Iterator[tuple[Shot, Image.Image, tuple[int, int]]]:
        """What is put on the background, the farthest first: each with its picture and the pixel of its upper left
        corner, on a board that is larger than the frame by the margin."""
        shots = [shot for actor in self.actors for shot in actor.shots(time_s)]
        for shot in sorted(shots, key=lambda shot: shot.depth):
            picture, column, row = self._sprite(shot)
            yield (
                shot,
                picture,
                (round((shot.x + MARGIN) * self.size) - column, round((shot.y + MARGIN) * self.size) - row),
            )

    def frame(self, index: int, time_s: float) -> np.ndarray:
        """The picture (size, size, 3), uint8, number `index`, taken at `time_s`."""
        canvas = self.background.copy()
        for _, picture, spot in self.placed(time_s):
            canvas.paste(picture, spot, picture)
        gain = float(np.interp(time_s, *zip(*self.camera.exposure)))
        glows = [glow for actor in self.actors if not isinstance(actor, Puppet | Prop) for glow in actor.glows(time_s)]
        if glows or abs(gain - 1) > 0.004:
            canvas = self._expose(canvas, glows, gain)
        grain = self.grains[(index * 5 + index // GRAINS) % GRAINS]
        picture = ImageChops.add(canvas, grain, 1, -128)
        left, top = self.corner(time_s)
        return np.asarray(picture.crop((left, top, left + self.size, top + self.size)))

    def _expose(self, canvas: Image.Image, glows: list[Glow], gain: float) -> Image.Image:
        if not glows:
            return canvas.point([min(255, round(level * gain)) for level in range(256)] * 3)
        pixels = np.asarray(canvas).astype(np.float32)
        for glow in glows:
            self._add_light(pixels, glow)
        pixels *= gain
        return Image.fromarray(np.minimum(pixels, 255).astype(np.uint8))

    def _add_light(self, pixels: np.ndarray, glow: Glow) -> None:
        """Add a halo to the pixels (side, side, 3), in place."""
        reach = max(1, round(glow.radius * self.size))
        if reach not in self.halos:
            y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1] / reach
            self.halos[reach] = (np.clip(1 - np.hypot(x, y), 0, 1) ** 2)[..., None].astype(np.float32)
        column, row = (round((place + MARGIN) * self.size) - reach for place in (glow.x, glow.y))
        side, span = pixels.shape[0], 2 * reach + 1
        left, top, right, bottom = max(0, column), max(0, row), min(side, column + span), min(side, row + span)
        if left < right and top < bottom:
            halo = self.halos[reach][top - row : bottom - row, left - column : right - column]
            pixels[top:bottom, left:right] += halo * np.array(glow.colour, np.float32)

    def corner(self, time_s: float) -> tuple[int, int]:
        """The pixel of the board at which the frame begins: where the shaking camera looks."""
        amplitude = self.camera.shake
        for start_s, length_s, strength in self.camera.gusts:
            age = (time_s - start_s) / length_s
            if 0 < age < 1:
                amplitude += strength * math.sin(math.pi * age)
        beat = self.camera.phase + time_s
        dx = amplitude * (math.sin(9.1 * beat) + 0.6 * math.sin(23.7 * beat))
        dy = amplitude * (math.sin(7.3 * beat + 1) + 0.6 * math.sin(19.9 * beat))
        most = MARGIN * self.size - 1
        left, top = (round(MARGIN * self.size + min(most, max(-most, d * self.size))) for d in (dx, dy))
        return left, top
