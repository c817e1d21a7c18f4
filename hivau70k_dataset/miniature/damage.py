"""Anomalies that leave things damaged: vandalism, arson, explosions, road accidents."""

from .layouts import Layout
from .script import Act, Scene, leave_off
from .stage import ALWAYS, CAR, Blast, Fire, Prop, Puppet, Vehicle


def vandalism(scene: Scene) -> Act:
    """Paint is sprayed on a wall, or a window or a parked car is smashed with a bat."""
    act = Act("Vandalism", "Vandalism", scene.start_s)
    ways = ["graffiti", "window"] + (["car"] if scene.layout.parked else [])
    way = str(scene.rng.choice(ways))
    if way == "graffiti":
        return _graffiti(scene, act)
    return _smash(scene, act, way)


def _graffiti(scene: Scene, act: Act) -> Act:
    colour, layout = scene.colour(), scene.layout
    y = layout.floor_y + 0.07
    vandal = scene.enter(scene.side, scene.look(), scene.start_s, y, f"spray:{colour}")
    facing = -scene.side
    vandal.go(layout.wall_x - 0.62 * facing * scene.unit(y)).do("stand", 0.8, facing=facing)
    who = {"a": vandal.look, "paint": colour, "place": scene.place}
    begin_s, long_s = vandal.clock, scene.seconds(8, 13)
    vandal.hold(f"spraying:{colour}")
    for _ in range(6):
        vandal.do("spray", long_s / 6, dx=0.1 * facing * scene.unit(y))
    states = [(begin_s + long_s * (k + 0.4) / 6, ("graffiti", colour, k + 1)) for k in range(6)]
    middle_s = begin_s + 0.5 * long_s
    act.phase(begin_s, middle_s, "spray", **who)
    act.phase(middle_s, vandal.clock, "letters", **who)
    begin_s = vandal.clock
    leave_off(act, vandal.hold(f"spray:{colour}"), int(scene.rng.choice([-1, 1])), "run")
    act.phase(begin_s, max(begin_s + 0.5, vandal.clock - 0.4), "painted", **who)
    act.actors.append(Prop(layout.wall_x, layout.wall_y, [*states]))
    act.claims.add("wall")
    return act.close()


def _smash(scene: Scene, act: Act, way: str) -> Act:
    layout, at_car = scene.layout, way == "car"
    place = _parked_place(scene) if at_car else 0
    facing = -scene.side
    x, base = layout.parked[place] if at_car else (layout.wall_x, layout.wall_y)
    y = base + (0.035 if way == "car" else 0.045)
    vandal = scene.enter(scene.side, scene.look(), scene.start_s, y, "bat")
    vandal.go(x - 0.5 * facing * scene.unit(y)).do("stand", 0.6, facing=facing)
    style, paint = ("sedan", scene.paint())
    intact, first, last = (
        [("car", style, paint, state) for state in ("ok", "broken", "broken")]
        if way == "car"
        else [("window", state) for state in ("ok", "cracked", "broken")]
    )
    who = {"a": vandal.look, "thing": f"{paint} car" if way == "car" else "window", "place": scene.place}
    begin_s, half_s = vandal.clock - 0.6, scene.seconds(2.7, 4.5)
    vandal.do("swing", half_s)
    act.phase(begin_s, vandal.clock, "swing", **who)
    half = vandal.clock
    vandal.do("swing", half_s, dx=0.1 * facing * scene.unit(y))
    act.phase(half, vandal.clock, "break", **who)
    states = [(ALWAYS, intact), (half - 0.6 * half_s, first), (half + 0.3 * half_s, last)]
    begin_s = vandal.clock
    leave_off(act, vandal, int(scene.rng.choice([-1, 1])), "run")
    act.phase(begin_s, max(begin_s + 0.5, vandal.clock - 0.4), "broken", **who)
    act.actors.append(Prop(x, base, states, CAR if way == "car" else 1.0))
    act.claims.add(f"parked {place}" if way == "car" else "wall")
    return act.close()


def _parked_place(scene: Scene) -> int:
    """One of the parked vehicles well inside the picture; the scene's side becomes the one with more room."""
    parked = scene.layout.parked
    place = int(scene.rng.choice([place for place, (x, _) in enumerate(parked) if 0.1 < x < 0.9]))
    scene.side = -1 if parked[place][0] > 0.5 else 1
    return place


def _target(scene: Scene, car_chance: float) -> tuple[bool, int, float, float]:
    """What is to burn: whether it is a parked vehicle, which, and where it stands; else a bin at the scene's place."""
    at_car = bool(scene.layout.parked) and scene.chance(car_chance)
    place = _parked_place(scene) if at_car else 0
    x, y = scene.layout.parked[place] if at_car else (scene.x, scene.y)
    return at_car, place, x, y


def arson(scene: Scene) -> Act:
    """Somebody pours fuel over a bin or a parked car and lights it; the fire grows."""
    act = Act("Arson", "Arson", scene.start_s)
    at_car, place, x, y = _target(scene, car_chance=0.4)
    paint, unit = scene.paint(), scene.unit(y)
    thing = f"{paint} car" if at_car else f"{paint} bin"
    gap = (0.75 if at_car else 0.45) * unit
    stand_y = y + 0.03
    culprit = scene.enter(scene.side, scene.look(), scene.start_s, stand_y, "can")
    culprit.go(x + scene.side * gap)
    who = {"a": culprit.look, "thing": thing, "place": scene.place}
    begin_s = culprit.clock
    culprit.do("pour", scene.seconds(2.5, 4), facing=-scene.side)
    act.phase(begin_s, culprit.clock, "pour", **who)
    begin_s = culprit.clock
    culprit.hold("").do("crouch", scene.seconds(1.2, 2))
    lit_s, grow_s, burn_s = culprit.clock - 0.6, scene.seconds(3, 5), scene.seconds(4, 8)
    culprit.do("stand", 1.0)
    leave_off(act, culprit, scene.side, "run")
    act.phase(begin_s, lit_s + grow_s, "light", **who)
    top = scene.seconds(0.9, 1.3)
    out_s = lit_s + grow_s + burn_s
    course = [(lit_s, 0.15), (lit_s + grow_s, top), (out_s - 1.5, top), (out_s, 0.0)]
    act.actors.append(Fire(x, y, course, 1.4 if at_car else 0.5, lift=0.2 * unit))
    act.phase(lit_s + grow_s, out_s, "burn", **who)
    before, after = (("car", "sedan", paint, "ok"), ("car", "sedan", paint, "wreck"))
    if not at_car:
        before, after = ("bin", paint), ("burnt", "")
    act.actors.append(Prop(x, y, [(ALWAYS, before), (lit_s + grow_s + 1.5, after)], CAR if at_car else 1.0))
    if at_car:
        act.claims.add(f"parked {place}")
    if scene.chance(0.7):
        _shy_away(scene, act, x, lit_s + grow_s)
    return act.close()


def _shy_away(scene: Scene, act: Act, x: float, since_s: float) -> None:
    """A passer-by comes near, raises the arms and runs back."""
    side = -scene.side
    person = scene.enter(side, scene.look(), since_s - 1.0, scene.layout.walk_ys[2])
    person.go(x + side * 0.3).do("alarm", scene.seconds(1, 2.5))
    leave_off(act, person, side, "run")


def explosion(scene: Scene) -> Act:
    """A parked vehicle (or a bin) blows up: a flash, a ball of fire, people run, a wreck burns out."""
    act = Act("Explosion", "Explosion", scene.start_s)
    at_car, place, x, y = _target(scene, car_chance=0.75)
    paint, style = scene.paint(), "van" if scene.chance(0.3) else "sedan"
    name = "van" if style == "van" else "car"
    thing = f"{paint} {name}" if at_car else f"{paint} bin"
    blast_s = scene.start_s + scene.seconds(2.5, 4)
    who = {"thing": thing, "place": scene.place}
    runners = int(scene.rng.integers(2, 5))
    for number in range(runners):
        _runner(scene, act, x, y, blast_s, -1 if number % 2 else 1)
    act.actors.append(Blast(x, y, blast_s, int(scene.rng.integers(2**31))))
    top, burn_s = scene.seconds(0.9, 1.3), scene.seconds(5, 10)
    burning_s, out_s = blast_s + scene.seconds(2.5, 3.5), 0.0
    out_s = burning_s + burn_s
    course = [(blast_s + 0.3, 0.4), (blast_s + 1.5, top), (out_s - 3, 0.8 * top), (out_s, 0.0)]
    act.actors.append(Fire(x, y, course, 1.5 if at_car else 0.6, smoke_size=1.4, lift=0.15 * scene.unit(y)))
    before = ("car", style, paint, "ok") if at_car else ("bin", paint)
    after = ("car", style, paint, "wreck") if at_car else ("burnt", "")
    act.actors.append(Prop(x, y, [(ALWAYS, before), (blast_s + 0.1, after)], CAR if at_car else 1.0))
    act.phase(blast_s, burning_s, "blast", **who)
    middle_s = 0.5 * (burning_s + out_s)
    act.phase(burning_s, middle_s, "flee", **who)
    act.phase(middle_s, out_s, "burn", **who)
    if at_car:
        act.claims.add(f"parked {place}")
    return act.close()


def _runner(scene: Scene, act: Act, x: float, y: float, blast_s: float, side: int) -> None:
    """Somebody near the blast, who staggers or falls and then runs."""
    row = float(scene.rng.choice(scene.layout.walk_ys))
    gap = side * scene.seconds(0.16, 0.3)
    length_s = blast_s - scene.start_s
    person = Puppet(scene.layout, scene.look(), x + gap + side * 0.18 * length_s, row, scene.start_s, -side)
    if abs(person.x - 0.5) < 0.62:
        person = scene.enter(side, person.look, scene.start_s, row)
    person.go(x + gap, speed=1.0).until(blast_s)
    if scene.chance(0.4):
        person.do("fall", 0.5, dx=0.06 * side).do("lie", scene.seconds(1, 2.5)).do("rise", 0.9)
    else:
        person.do("reel", 0.5)
    leave_off(act, person, side, "run")


def accident(scene: Scene) -> Act:
    """A car runs into a pedestrian, or into a car that stands."""
    act = Act("RoadAccidents", "RoadAccidents", scene.start_s)
    return _hit_person(scene, act) if scene.chance(0.5) else _hit_car(scene, act)


def lane_facing(layout: Layout, lane: int) -> int:
    """Cars of the first lane go right, of the second left."""
    return 1 if lane == 0 else -1


def _hit_person(scene: Scene, act: Act) -> Act:
    layout, lane = scene.layout, int(scene.rng.integers(len(scene.layout.lane_ys)))
    y, facing, paint = layout.lane_ys[lane], lane_facing(layout, lane), scene.paint()
    act.lanes = set(range(len(layout.lane_ys)))
    x = scene.seconds(0.42, 0.58)
    victim = scene.enter(-facing, scene.look(), scene.start_s, layout.walk_ys[1])
    victim.go(x).do("stand", scene.seconds(0.4, 1.2)).go(x + 0.01 * facing, y + 0.012)
    hit_s = victim.clock
    unit, throw = scene.unit(y), 0.14 * facing
    victim.do("fall", 0.6, facing=-facing, dx=throw)
    stop_x = x - facing * unit * 0.45
    far = 0.5 - facing * 0.85
    style = "van" if scene.chance(0.3) else "sedan"
    lie_s = scene.seconds(6, 11)
    away_s = hit_s + lie_s + 3
    knots = [(hit_s - abs(x - far) / 0.62, far), (hit_s, x - facing * unit * 0.8), (hit_s + 0.7, stop_x)]
    knots += [(away_s, stop_x), (away_s + 4, 0.5 + facing * 0.9)]
    states = [(ALWAYS, "ok"), (hit_s, "crumpled")]
    act.actors.append(Vehicle(y, knots, style, paint, facing, scene.night, states))
    who = {"a": victim.look, "car": f"{paint} {'van' if style == 'van' else 'car'}", "place": scene.road}
    act.phase(hit_s - 1.0, hit_s + 1.5, "hit", **who)
    victim.do("lie", lie_s)
    _helpers(scene, act, victim.x, y, hit_s + 1.5, hit_s + lie_s)
    act.phase(hit_s + 1.5, hit_s + 0.5 * lie_s, "lie", **who)
    act.phase(hit_s + 0.5 * lie_s, hit_s + lie_s, "help", **who)
    victim.do("rise", 1.3).go(victim.x, layout.walk_ys[1])
    leave_off(act, victim, -facing)
    act.close()
    act.end_s = max(act.end_s, away_s + 4)
    return act


def _helpers(scene: Scene, act: Act, x: float, y: float, since_s: float, until_s: float) -> None:
    """Two people who hurry to the place, crouch or telephone, and go."""
    for side in (-1, 1):
        person = scene.enter(side, scene.look(), since_s + scene.seconds(0, 1), y + 0.03 * side)
        person.go(x + 0.13 * side, action="run", speed=1.4)
        person.until(until_s, "crouch" if scene.chance(0.5) else "phone", -side)
        leave_off(act, person, side)


def _hit_car(scene: Scene, act: Act) -> Act:
    layout, lane = scene.layout, int(scene.rng.integers(len(scene.layout.lane_ys)))
    y, facing = layout.lane_ys[lane], lane_facing(layout, lane)
    act.lanes = {lane}
    first, second = scene.paint(), scene.paint()
    while second == first:
        second = scene.paint()
    unit, far = scene.unit(y), 0.5 - facing * 0.85
    halt_x = 0.5 + facing * scene.seconds(0.12, 0.2)
    stopped_s = scene.start_s + 4
    hit_s = stopped_s + scene.seconds(1, 2.5)
    reach = 2.0 * CAR * unit
    push = 0.07 * facing
    away_s = hit_s + scene.seconds(9, 14)
    front = [(scene.start_s, far), (stopped_s - 1, halt_x - 0.1 * facing), (stopped_s, halt_x), (hit_s, halt_x)]
    front += [(hit_s + 0.6, halt_x + push), (away_s, halt_x + push), (away_s + 4, 0.5 + facing * 0.9)]
    touch_x = halt_x - facing * (reach - 0.22 * unit)
    back = [(hit_s - abs(touch_x - far) / 0.6, far), (hit_s, touch_x), (hit_s + 0.6, touch_x + 0.4 * push)]
    back += [(away_s + 0.8, touch_x + 0.4 * push), (away_s + 5.5, 0.5 + facing * 0.9)]
    act.actors.append(Vehicle(y, front, "sedan", first, facing, scene.night, [(ALWAYS, "ok"), (hit_s, "dented")]))
    act.actors.append(
        Vehicle(y + 0.002, back, "sedan", second, facing, scene.night, [(ALWAYS, "ok"), (hit_s, "crumpled")])
    )
    smoke = [(hit_s + 0.2, 0.0), (hit_s + 0.5, 0.07), (away_s - 1.5, 0.07), (away_s, 0.0)]
    smoke = [(time_s, 2.4 * height) for time_s, height in smoke]  # too low to flame, high enough to smoke
    act.actors.append(Steamer(touch_x + facing * 0.65 * unit, y + 0.01, smoke, 0.3, "white", 0.8, 0.3 * unit))
    who = {"car": f"{second} car", "other": f"{first} car", "place": scene.road}
    act.phase(hit_s - 1.0, hit_s + 1.5, "crash", **who)
    middle_s = 0.5 * (hit_s + 1.5 + away_s)
    _helpers(scene, act, halt_x - 0.12 * facing, y - 0.02, hit_s + 1.0, away_s - 0.6)
    act.phase(hit_s + 1.5, middle_s, "stand", **who)
    act.phase(middle_s, away_s - 0.3, "gather", **who)
    act.close()
    act.end_s = max(act.end_s, away_s + 5.5)
    return act


class Steamer(Fire):
    """Smoke or steam with no flames under it."""

    def shots(self, time_s):
        yield from self._smoke(time_s)

    def glows(self, time_s):
        return iter(())
