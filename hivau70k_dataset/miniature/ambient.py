"""What goes on in a miniature video all the time: passers-by, traffic, furniture, light and the camera."""

import numpy as np

from .damage import lane_facing
from .figures import make_look
from .layouts import Layout
from .script import Act
from .stage import ALWAYS, CAR, Actor, Camera, Prop, Puppet, Vehicle
from .things import PAINTS


NIGHT_SHARE, DIM_SHARE = 0.35, 0.2  # of outdoor and of indoor videos


def make_camera(layout: Layout, duration_s: float, rng: np.random.Generator) -> Camera:
    """Hour, tint, noise, shaking and exposure of one video."""
    dark = rng.random() < (DIM_SHARE if layout.indoors else NIGHT_SHARE)
    tint = rng.uniform(0.82, 1.12) * rng.uniform(0.92, 1.08, 3)
    light = np.clip(rng.uniform(0.9, 1.1) * rng.uniform(0.96, 1.04, 3), 0, 1.1)
    if dark:
        light = np.array([0.46, 0.5, 0.66]) * rng.uniform(0.85, 1.15) if not layout.indoors else light * 0.6
    gusts = []
    time_s = float(rng.exponential(16))
    while time_s < duration_s:
        gusts.append((time_s, float(rng.uniform(2, 8)), float(rng.uniform(0.004, 0.014))))
        time_s += float(rng.exponential(20)) + 3
    shake = float(rng.choice([0.0, 0.0, 0.0015, 0.003, 0.005]))
    return Camera(
        (float(light[0]), float(light[1]), float(light[2])),
        bool(dark),
        (float(tint[0]), float(tint[1]), float(tint[2])),
        float(rng.uniform(1.0, 4.5)),
        shake,
        tuple(gusts),
        _exposure(layout, bool(dark), duration_s, rng),
        float(rng.uniform(0, 50)),
    )


def _exposure(
    layout: Layout, dark: bool, duration_s: float, rng: np.random.Generator
) -> tuple[tuple[float, float], ...]:
    """Clouds and automatic gain outdoors; lamps that somebody turns off and on, or that flicker, indoors."""
    course = [(0.0, 1.0)]
    time_s = float(rng.exponential(12))
    while time_s < duration_s:
        ramp_s, hold_s = (0.15, rng.uniform(1, 7)) if layout.indoors else (rng.uniform(0.2, 2), rng.uniform(2, 9))
        brighter = not layout.indoors and rng.random() < 0.5
        level = rng.uniform(1.15, 1.4) if brighter else rng.uniform(0.7 if dark else 0.58, 0.85)
        for _ in range(int(rng.integers(2, 5)) if layout.indoors and rng.random() < 0.3 else 1):
            ends = (time_s, time_s + ramp_s, time_s + ramp_s + hold_s, time_s + 2 * ramp_s + hold_s)
            course += list(zip(map(float, ends), (1.0, float(level), float(level), 1.0)))
            time_s = ends[-1] + 0.3
            hold_s = rng.uniform(0.2, 0.8)
        time_s += 1 + float(rng.exponential(16))
    return tuple(course) + ((max(duration_s, course[-1][0]) + 1, 1.0),)


def furniture(layout: Layout, acts: list[Act], rng: np.random.Generator) -> list[Actor]:
    """What stands about and no act has claimed; damage of long ago among it, which is no event."""
    claims = set().union(*(act.claims for act in acts))
    things: list[Actor] = []
    for place, (x, y) in enumerate(layout.parked):
        key = ("car", "van" if rng.random() < 0.25 else "sedan", str(rng.choice(list(PAINTS))), "ok")
        if rng.random() < 0.06:
            key = (*key[:3], "wreck")
        if f"parked {place}" not in claims and rng.random() < 0.75:
            things.append(Prop(x, y, [(ALWAYS, key)], CAR, flip=bool(rng.random() < 0.5)))
    for place, x in enumerate(layout.shelf_xs):
        if f"shelf {place}" not in claims:
            things.append(
                Prop(x, layout.wall_y, [(ALWAYS, ("shelf", layout.seed + place, int(rng.choice([0, 0, 1, 2, 3]))))])
            )
    if layout.kind == "shop":
        things.append(Prop(layout.counter_x, layout.floor_y + 0.2, [(ALWAYS, ("counter", ""))]))
    elif "wall" not in claims:
        colour = str(rng.choice(["red", "blue", "green", "yellow", "purple"]))
        old = [("window", "ok"), ("window", "broken"), ("graffiti", colour, 6), ("poster", colour, 3), None, None]
        key = old[int(rng.choice(6, p=[0.4, 0.03, 0.05, 0.17, 0.15, 0.2]))]
        if key:
            things.append(Prop(layout.wall_x, layout.wall_y, [(ALWAYS, key)]))
    if layout.kind != "shop" and rng.random() < 0.5:
        things.append(Prop(layout.bench_x, layout.floor_y + 0.05, [(ALWAYS, ("bench", ""))]))
    if layout.kind != "shop" and rng.random() < 0.5:
        key = ("bin", str(rng.choice(list(PAINTS)))) if rng.random() < 0.9 else ("burnt", "")
        things.append(Prop(0.04 if layout.wall_x < 0.5 else 0.96, layout.floor_y + 0.08, [(ALWAYS, key)]))
    return things


def passers_by(layout: Layout, duration_s: float, rng: np.random.Generator) -> list[Actor]:
    """People who cross the picture: alone, running, with bags, officers on patrol, and now and then a crowd."""
    people: list[Actor] = []
    every_s = float(rng.choice([6, 9, 14, 25])) * float(rng.uniform(0.8, 1.2))
    time_s = float(rng.uniform(-5, every_s))
    while time_s < duration_s:
        count = int(rng.integers(4, 8)) if rng.random() < 0.1 else int(rng.choice([1, 1, 1, 2]))
        side, runs = int(rng.choice([-1, 1])), bool(rng.random() < 0.12)
        for _ in range(count):
            people.append(_passer(layout, time_s + float(rng.uniform(0, 2)), side, runs, rng))
        time_s += float(rng.exponential(every_s)) + (4 if count > 3 else 1)
    return people


def _passer(layout: Layout, start_s: float, side: int, runs: bool, rng: np.random.Generator) -> Puppet:
    who = str(rng.choice(["", "officer", "worker"], p=[0.9, 0.06, 0.04]))
    item = str(rng.choice(["", "", "bag:red", "bag:blue", "bag:green", "parcel", "phone"]))
    y = float(rng.choice(layout.walk_ys)) + float(rng.uniform(-0.015, 0.015))
    person = Puppet(layout, make_look(rng, who), 0.5 + 0.68 * side, y, start_s, -side, item if who == "" else "")
    if runs:
        return person.leave(-side, "run")
    if rng.random() < 0.25:
        person.go(float(rng.uniform(0.15, 0.85))).do(
            str(rng.choice(["stand", "phone", "talk"])), float(rng.uniform(1, 5))
        )
    return person.leave(-side, speed=float(rng.uniform(0.5, 0.95)))


def traffic(layout: Layout, acts: list[Act], duration_s: float, lamps: bool, rng: np.random.Generator) -> list[Actor]:
    """Cars that pass on lanes no act has taken meanwhile."""
    cars: list[Actor] = []
    for lane, y in enumerate(layout.lane_ys):
        busy = [(act.start_s - 3, act.end_s + 1) for act in acts if lane in act.lanes]
        every_s = float(rng.choice([5, 9, 16, 30])) * (1 if layout.kind == "street" else 2)
        time_s, facing = float(rng.uniform(-3, every_s)), lane_facing(layout, lane)
        while time_s < duration_s:
            needs_s = 1.7 / float(rng.uniform(0.3, 0.75))
            style = "van" if rng.random() < 0.25 else "sedan"
            colour = str(rng.choice(list(PAINTS)))
            if all(time_s + needs_s < start or time_s > end for start, end in busy):
                knots = [(time_s, 0.5 - facing * 0.85), (time_s + needs_s, 0.5 + facing * 0.85)]
                cars.append(Vehicle(y, knots, style, colour, facing, lamps))
            time_s += needs_s * 0.8 + float(rng.exponential(every_s))
    return cars


def make_clerk(layout: Layout, rng: np.random.Generator) -> Puppet | None:
    """Who stands behind the till of a shop, and acts when an act says so."""
    if layout.kind != "shop":
        return None
    inner = 1 if layout.counter_x < 0.5 else -1
    return Puppet(layout, make_look(rng), layout.counter_x - 0.02 * inner, layout.floor_y + 0.12, -90.0, inner)
