"""Places of the miniature set: a street, a car park, a shop and a corridor, each in many layouts, by day and by night.

All share one geometry, a floor in front of a wall. Places are in shares of the picture, x to the right, y down; a
person who stands at `y` is `layout.scale(y)` tall.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from .figures import RGB, shade


KINDS = ("street", "car park", "shop", "corridor")
MARGIN = 0.03  # painted on each side of the picture for the camera to shake in
TRAIN_LAYOUTS, TEST_LAYOUTS = 1000, 1000  # of each kind, so that few repeat; the test's are none of the train's
FIRST_TEST_LAYOUT = 1000

WALLS: tuple[RGB, ...] = (
    (176, 150, 126),
    (150, 98, 80),
    (196, 186, 166),
    (126, 132, 138),
    (164, 160, 120),
    (138, 116, 132),
)
ROOMS: tuple[RGB, ...] = ((206, 200, 184), (176, 196, 200), (214, 198, 170), (188, 192, 182), (196, 180, 186))
FLOORS: tuple[RGB, ...] = ((150, 144, 136), (168, 150, 126), (132, 138, 142), (176, 170, 160))


@dataclass(frozen=True)
class Layout:
    """Where things are: drawn from the layout's number alone, so all videos of a layout share it."""

    kind: str
    number: int
    floor_y: float  # where the wall meets the ground
    far: float  # a person's height at floor_y
    near: float  # a person's height at the lower edge
    act_ys: tuple[float, ...]  # rows on which things may happen
    walk_ys: tuple[float, ...]  # rows on which people pass
    lane_ys: tuple[float, ...]  # of vehicles, those going right first
    wall_x: float  # a free place along the wall, with a window or blank
    parked: tuple[tuple[float, float], ...]  # parked vehicles
    shelf_xs: tuple[float, ...]
    counter_x: float
    bench_x: float
    seed: int

    def scale(self, y: float) -> float:
        """Height of a person who stands at row `y`, as a share of the picture's height."""
        return self.far + (self.near - self.far) * (y - self.floor_y) / (1 - self.floor_y)

    @property
    def indoors(self) -> bool:
        return self.kind in ("shop", "corridor")

    @property
    def wall_y(self) -> float:
        return self.floor_y + 0.03


def make_layout(kind: str, number: int) -> Layout:
    """The layout with this number; below `FIRST_TEST_LAYOUT` it belongs to train, from there on to test."""
    rng = np.random.default_rng([KINDS.index(kind), number, 5])
    floor = float(rng.uniform(0.38, 0.46))
    side = 1 if rng.random() < 0.5 else -1
    lanes: tuple[float, ...] = ()
    parked: tuple[tuple[float, float], ...] = ()
    shelves: tuple[float, ...] = ()
    far, near = 0.29, 0.41
    if kind == "street":
        far, near = 0.255, 0.37
        lanes = (floor + 0.26, floor + 0.36)
        walk_ys, act_ys = (floor + 0.06, floor + 0.1, 0.96), (floor + 0.09, 0.93)
        parked = ((0.5 + side * float(rng.uniform(0.28, 0.38)), floor + 0.155),)
    elif kind == "car park":
        far, near = 0.255, 0.37
        lanes = (floor + 0.42,)
        spots = 0.5 + side * (np.array([0.03, 0.42]) + rng.uniform(0.0, 0.04, 2))
        parked = tuple((float(x), floor + 0.1) for x in spots)
        walk_ys, act_ys = (floor + 0.18, floor + 0.3, 0.97), (floor + 0.24, floor + 0.38)
    else:
        walk_ys, act_ys = (floor + 0.14, floor + 0.24, 0.97), (floor + 0.22, floor + 0.36)
        if kind == "shop":
            shelves = tuple(0.5 - side * x for x in (0.32, 0.05))
    wall_x = 0.5 - side * float(rng.uniform(*((0.3, 0.34) if kind == "car park" else (0.12, 0.3))))
    counter_x = 0.5 + side * float(rng.uniform(0.32, 0.36))
    bench_x = 0.5 + side * float(rng.uniform(0.1, 0.25))
    return Layout(
        kind,
        number,
        floor,
        far,
        near,
        act_ys,
        walk_ys,
        lanes,
        wall_x,
        parked,
        shelves,
        counter_x,
        bench_x,
        int(rng.integers(2**31)),
    )


class Painter:
    """Draws in shares of the picture on a board larger than the picture by the margin, three times as fine."""

    def __init__(self, size: int):
        self.fine = (3 if size < 300 else 2) * size
        side = round(self.fine * (1 + 2 * MARGIN))
        self.board = Image.new("RGB", (side, side))
        self.pen = ImageDraw.Draw(self.board)

    def _at(self, *points: float) -> list[float]:
        return [(p + MARGIN) * self.fine for p in points]

    def box(self, left: float, top: float, right: float, bottom: float, fill: RGB) -> None:
        self.pen.rectangle(self._at(left, top, right, bottom), fill=fill)

    def shape(self, points: list[float], fill: RGB) -> None:
        self.pen.polygon(self._at(*points), fill=fill)

    def line(self, points: list[float], fill: RGB, width: float) -> None:
        self.pen.line(self._at(*points), fill=fill, width=max(1, round(width * self.fine)))


def _texture(rng: np.random.Generator, side: int) -> np.ndarray:
    """Stains and grain of all surfaces, (side, side, 1) around 1; the same at every size but for the finest grain."""
    total = np.ones((side, side, 1))
    for cells, strength in ((5, 0.05), (17, 0.035), (60, 0.03)):
        coarse = Image.fromarray(rng.normal(0, 1, (cells, cells)).astype(np.float32))
        total += strength * np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC))[..., None]
    return total


def _facade(painter: Painter, layout: Layout, rng: np.random.Generator, tint: np.ndarray) -> None:
    left = -0.1
    while left < 1.1:
        right = left + rng.uniform(0.28, 0.5)
        wall = _tinted(WALLS[int(rng.integers(len(WALLS)))], tint)
        painter.box(left, -0.1, right, layout.floor_y, wall)
        painter.box(left, layout.floor_y - 0.04, right, layout.floor_y, shade(wall, 0.7))
        for x in np.arange(left + 0.04, right - 0.08, 0.13):
            painter.box(x, -0.02, x + 0.07, 0.08, shade(wall, 0.55))
            painter.box(x + 0.008, -0.02, x + 0.062, 0.07, (92, 108, 124) if rng.random() < 0.7 else (206, 186, 130))
        painter.box(left, 0.11, right, 0.125, shade(wall, 0.8))
        if rng.random() < 0.6:  # an awning
            awning = _tinted(((150, 50, 46), (50, 100, 72), (54, 76, 130))[int(rng.integers(3))], tint)
            painter.shape([left + 0.03, 0.15, right - 0.03, 0.15, right - 0.01, 0.19, left + 0.01, 0.19], awning)
        door = rng.uniform(left + 0.03, right - 0.12)
        painter.box(door, layout.floor_y - 0.2, door + 0.09, layout.floor_y, shade(wall, 0.45))
        left = right


def _tinted(colour: RGB, tint: np.ndarray) -> RGB:
    red, green, blue = np.clip(np.array(colour) * tint, 0, 250).astype(int).tolist()
    return red, green, blue


def _ground(painter: Painter, top: float, fill: RGB) -> None:
    painter.box(-0.1, top, 1.1, 1.1, fill)


def _paint_street(painter: Painter, layout: Layout, rng: np.random.Generator, tint: np.ndarray) -> None:
    floor = layout.floor_y
    _facade(painter, layout, rng, tint)
    pavement, road = _tinted((158, 152, 144), tint), _tinted((92, 94, 98), tint)
    _ground(painter, floor, pavement)
    for x in np.arange(-0.6, 1.6, 0.11):  # slabs
        painter.line([x * 0.8 + 0.1, floor, x, floor + 0.13], shade(pavement, 0.9), 0.004)
    painter.box(-0.1, floor + 0.13, 1.1, floor + 0.41, road)
    painter.box(-0.1, floor + 0.13, 1.1, floor + 0.145, shade(pavement, 1.2))
    painter.box(-0.1, floor + 0.4, 1.1, floor + 0.425, shade(pavement, 1.2))
    for x in np.arange(-0.1, 1.1, 0.16):
        painter.box(x, floor + 0.275, x + 0.08, floor + 0.287, (214, 212, 200))
    if rng.random() < 0.5:
        left = float(rng.uniform(0.4, 0.6))
        for step in range(5):
            y = floor + 0.15 + 0.05 * step
            painter.box(left - 0.12, y, left + 0.12, y + 0.025, (206, 206, 198))
    if rng.random() < 0.7:
        _post(painter, float(rng.choice([0.06, 0.94])), floor + 0.12, layout, (70, 74, 70))


def _post(painter: Painter, x: float, y: float, layout: Layout, fill: RGB) -> None:
    painter.line([x, y, x, y - 2.1 * layout.scale(y)], fill, 0.016)
    painter.line(
        [x, y - 2.1 * layout.scale(y), x + (0.09 if x < 0.5 else -0.09), y - 2.15 * layout.scale(y)], fill, 0.012
    )


def _paint_car_park(painter: Painter, layout: Layout, rng: np.random.Generator, tint: np.ndarray) -> None:
    floor = layout.floor_y
    sky = _tinted((172, 190, 208), tint)
    painter.box(-0.1, -0.1, 1.1, floor, sky)
    if rng.random() < 0.5:
        hall = _tinted(WALLS[int(rng.integers(len(WALLS)))], tint)
        painter.box(-0.1, rng.uniform(0.04, 0.12), 1.1, floor, hall)
        for y in (0.16, 0.24):
            painter.box(-0.1, y, 1.1, y + 0.03, shade(hall, 0.75))
    else:
        for x in np.arange(-0.1, 1.1, 0.07):
            top = floor - rng.uniform(0.12, 0.25)
            painter.shape([x - 0.03, floor, x + 0.02, top, x + 0.12, floor], _tinted((70, 104, 66), tint))
        painter.box(-0.1, floor - 0.13, 1.1, floor, _tinted((150, 144, 136), tint))
    hut = _tinted(WALLS[int(rng.integers(len(WALLS)))], tint)  # something to have a window in, or paint on
    painter.box(layout.wall_x - 0.26, floor - 0.37, layout.wall_x + 0.24, floor, hut)
    painter.box(layout.wall_x - 0.28, floor - 0.4, layout.wall_x + 0.26, floor - 0.36, shade(hut, 0.7))
    asphalt = _tinted((104, 104, 108) if rng.random() < 0.6 else (132, 126, 120), tint)
    _ground(painter, floor, asphalt)
    painter.box(-0.1, floor, 1.1, floor + 0.02, shade(asphalt, 1.3))
    for x in np.linspace(-0.05, 1.05, int(rng.integers(4, 6))):
        painter.line([x, floor + 0.02, x + 0.3 * (x - 0.5), floor + 0.17], (220, 220, 210), 0.012)
    if rng.random() < 0.6:
        painter.line([-0.1, floor + 0.5, 1.1, floor + 0.5], (214, 180, 60), 0.012)
    if rng.random() < 0.6:
        _post(painter, float(rng.choice([0.04, 0.96])), floor + 0.05, layout, (90, 94, 96))


def _room(painter: Painter, layout: Layout, rng: np.random.Generator, tint: np.ndarray) -> RGB:
    floor = layout.floor_y
    wall = _tinted(ROOMS[int(rng.integers(len(ROOMS)))], tint)
    tile = _tinted(FLOORS[int(rng.integers(len(FLOORS)))], tint)
    painter.box(-0.1, -0.1, 1.1, floor, wall)
    _ground(painter, floor, tile)
    count, rows = int(rng.integers(7, 14)), np.geomspace(0.05, 1.05 - floor, int(rng.integers(4, 8)))
    for x in np.linspace(-1.5, 2.5, 2 * count):
        painter.line([0.5 + 0.55 * (x - 0.5), floor, 0.5 + 1.2 * (x - 0.5), 1.1], shade(tile, 0.88), 0.005)
    for depth in rows:
        painter.line([-0.1, floor + depth, 1.1, floor + depth], shade(tile, 0.88), 0.005)
    painter.box(-0.1, floor - 0.025, 1.1, floor, shade(wall, 0.6))
    painter.box(-0.1, -0.1, 1.1, 0.03, shade(wall, 0.8))
    for x in np.linspace(0.12, 0.88, int(rng.integers(2, 5))):
        painter.box(x - 0.07, 0.0, x + 0.07, 0.02, (250, 250, 240))
    return wall


def _paint_shop(painter: Painter, layout: Layout, rng: np.random.Generator, tint: np.ndarray) -> None:
    wall = _room(painter, layout, rng, tint)
    band = _tinted(((200, 60, 50), (60, 120, 190), (70, 150, 90), (220, 160, 50))[int(rng.integers(4))], tint)
    painter.box(-0.1, 0.05, 1.1, 0.09, band)
    painter.box(layout.counter_x - 0.14, 0.13, layout.counter_x + 0.14, 0.2, shade(wall, 0.7))
    for x in np.arange(layout.counter_x - 0.12, layout.counter_x + 0.11, 0.05):
        painter.box(x, 0.14, x + 0.03, 0.19, (240, 230, 200))


def _paint_corridor(painter: Painter, layout: Layout, rng: np.random.Generator, tint: np.ndarray) -> None:
    wall = _room(painter, layout, rng, tint)
    floor = layout.floor_y
    door = _tinted(((120, 84, 58), (86, 108, 126), (140, 140, 132))[int(rng.integers(3))], tint)
    for x in np.arange(rng.uniform(-0.1, 0.1), 1.1, rng.uniform(0.24, 0.34)):
        if abs(x + 0.06 - layout.wall_x) < 0.24:
            continue
        painter.box(x - 0.008, floor - 0.315, x + 0.128, floor, shade(wall, 0.7))
        painter.box(x, floor - 0.31, x + 0.12, floor, door)
        painter.box(x + 0.1, floor - 0.16, x + 0.112, floor - 0.14, (220, 210, 170))
    if rng.random() < 0.6:
        painter.box(-0.1, floor - 0.15, 1.1, floor - 0.135, shade(wall, 0.75))
    if rng.random() < 0.5:
        x = float(rng.choice([0.02, 0.98]))
        painter.box(x - 0.05, -0.1, x + 0.05, floor + 0.06, shade(wall, 0.9))


def paint(layout: Layout, size: int, light: np.ndarray, lamps: bool, tint: np.ndarray) -> Image.Image:
    """The empty place as the camera sees it, larger than the picture by the margin on each side.

    Args:
        layout (`Layout`): Which place.
        size (`int`): Side of the picture in pixels.
        light (`np.ndarray` of shape `(3,)`): What the hour makes of white: `(1, 1, 1)` at noon.
        lamps (`bool`): Whether street lamps (or the ceiling's) shine.
        tint (`np.ndarray` of shape `(3,)`): Factor on the colours of walls and ground, of this video alone.
    """
    rng = np.random.default_rng(layout.seed)
    painter = Painter(size)
    painters = {"street": _paint_street, "car park": _paint_car_park, "shop": _paint_shop, "corridor": _paint_corridor}
    painters[layout.kind](painter, layout, rng, tint)
    side = round(size * (1 + 2 * MARGIN))
    colour = np.asarray(painter.board.resize((side, side), Image.Resampling.BOX), float)
    colour = colour * _texture(rng, side) * light
    if lamps:
        y, x = np.mgrid[0 : 1 : side * 1j, 0 : 1 : side * 1j]
        for centre in (0.2, 0.8) if layout.indoors else (float(rng.uniform(0.2, 0.8)),):
            pool = np.exp(-((x - centre) ** 2 / 0.05 + (y - layout.floor_y - 0.15) ** 2 / 0.04))
            colour += pool[..., None] * np.array([52, 44, 26])
    return Image.fromarray(np.clip(colour, 0, 255).astype(np.uint8))
