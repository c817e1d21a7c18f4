"""Everyday life that looks like an anomaly at first sight: one script or more for each class."""

from .crimes import _two_meet
from .damage import Steamer, lane_facing
from .figures import make_look
from .script import Act, Scene, leave_off
from .stage import ALWAYS, Fire, Flicker, Lamp, Prop, Puppet, Vehicle


def hug(scene: Scene) -> Act:
    """Two people meet, hug, talk and part."""
    act = Act("hug", "", scene.start_s)
    one, two = _two_meet(scene, 0.55)
    who = {"a": one.look, "b": two.look, "place": scene.place}
    begin_s, x = one.clock, scene.x
    one.go(x - 0.14 * scene.unit(), speed=1.0)
    two.go(x + 0.14 * scene.unit(), speed=1.0)
    hug_s = scene.seconds(3, 6)
    one.do("hug", hug_s, 1)
    two.do("hug", hug_s, -1)
    act.phase(begin_s, one.clock, "hug", **who)
    begin_s, step = one.clock, 0.1 * scene.unit()
    one.do("talk", scene.seconds(2, 5), 1, dx=-step)
    two.do("stand", one.clock - two.clock, -1, dx=step)
    act.phase(begin_s, one.clock, "talk", **who)
    together = scene.chance(0.4)
    leave_off(act, one, 1 if together else -1)
    leave_off(act, two, 1)
    return act.close()


def dance(scene: Scene) -> Act:
    """Two people jump about and throw their arms up for fun."""
    act = Act("dance", "", scene.start_s)
    one, two = _two_meet(scene, 0.95)
    who = {"a": one.look, "b": two.look, "place": scene.place}
    begin_s, step = one.clock, 0.25 * scene.unit()
    rounds, beat_s = int(scene.rng.integers(3, 6)), scene.seconds(1.1, 1.6)
    for number in range(rounds):
        sign = 1 if number % 2 else -1
        one.do("cheer", beat_s, 1, dx=sign * step)
        two.do("cheer", beat_s, -1, dx=sign * step)
    act.phase(begin_s, one.clock, "dance", **who)
    begin_s = one.clock
    one.do("talk", 2.0)
    two.do("stand", 2.0)
    act.phase(begin_s, one.clock, "rest", **who)
    leave_off(act, one, -1)
    leave_off(act, two, 1)
    return act.close()


def directions(scene: Scene) -> Act:
    """A passer-by asks an officer the way; the officer points; both go on."""
    act = Act("directions", "", scene.start_s)
    officer = scene.enter(scene.side, scene.look("officer"), scene.start_s)
    officer.go(scene.x + 0.4 * scene.side * scene.unit())
    asker = scene.enter(-scene.side, scene.look(), scene.start_s + scene.seconds(0, 1.5))
    asker.go(scene.x - 0.3 * scene.side * scene.unit())
    met_s = max(officer.clock, asker.clock)
    officer.until(met_s, facing=-scene.side)
    asker.until(met_s)
    who = {"a": asker.look, "place": scene.place}
    talk_s, point_s = scene.seconds(2, 4), scene.seconds(2.5, 4.5)
    asker.do("talk", talk_s).do("stand", point_s)
    officer.do("stand", talk_s).do("point", point_s, facing=int(scene.rng.choice([-1, 1])))
    act.phase(met_s, met_s + talk_s, "ask", **who)
    act.phase(met_s + talk_s, asker.clock, "point", **who)
    leave_off(act, asker, officer.facing)
    leave_off(act, officer, scene.side if officer.facing != scene.side else -scene.side)
    return act.close()


def delivery(scene: Scene) -> Act:
    """A courier hands a parcel to somebody who waits."""
    act = Act("delivery", "", scene.start_s)
    waiting = scene.look()
    receiver = scene.enter(-scene.side, waiting, scene.start_s)
    receiver.go(scene.x).do("stand", scene.seconds(0.5, 2), facing=scene.side)
    courier = scene.enter(scene.side, scene.look("", waiting), scene.start_s + 0.8, item="parcel")
    courier.go(scene.x + 0.6 * scene.side * scene.unit())
    receiver.until(courier.clock)
    who = {"a": courier.look, "b": waiting, "place": scene.place}
    begin_s = courier.clock
    courier.do("give", scene.seconds(2, 3)).hold("").do("give", 0.8)
    receiver.do("stand", 0.6).do("give", courier.clock - receiver.clock - 1.4)
    receiver.hold("parcel").do("give", scene.seconds(1, 2))
    act.phase(begin_s, receiver.clock, "hand over", **who)
    begin_s = receiver.clock
    courier.until(receiver.clock, "talk")
    leave_off(act, receiver, -scene.side)
    leave_off(act, courier, scene.side)
    act.phase(begin_s, min(receiver.clock, courier.clock), "part", **who)
    return act.close()


def photo(scene: Scene) -> Act:
    """Somebody takes pictures, with flash, of two people who pose."""
    act = Act("photo", "", scene.start_s)
    first = scene.look()
    target_x = scene.x - scene.side * 0.14
    people = [
        scene.enter(-scene.side, first, scene.start_s),
        scene.enter(-scene.side, scene.look(), scene.start_s + 0.9),
    ]
    for place, person in enumerate(people):
        person.go(target_x - scene.side * 0.5 * scene.unit() * place)
    taker = scene.enter(scene.side, scene.look("", first), scene.start_s + 1)
    taker.go(target_x + scene.side * scene.seconds(0.3, 0.36))
    for person in people:
        person.until(taker.clock, facing=scene.side)
    who = {"a": taker.look, "b": first, "place": scene.place}
    begin_s, shots, every_s = taker.clock, int(scene.rng.integers(2, 6)), scene.seconds(0.8, 1.6)
    taker.hold("camera").do("photo", 1.2 + shots * every_s)
    times = [begin_s + 1.0 + every_s * k for k in range(shots)]
    unit = scene.unit()
    place_x = taker.x + 0.4 * taker.facing * unit
    act.actors.append(Flicker("flash", place_x, scene.y - 0.8 * unit, scene.y, times, taker.facing, 0.34))
    for person in people:
        person.until(taker.clock, "hands_up" if scene.chance(0.2) else "stand", scene.side)
    act.phase(begin_s, taker.clock, "pose", **who)
    begin_s = taker.clock
    taker.hold("").do("talk", scene.seconds(1.5, 3))
    act.phase(begin_s, taker.clock, "thank", **who)
    for person in people:
        person.until(taker.clock)
        leave_off(act, person, -scene.side)
    leave_off(act, taker, scene.side)
    return act.close()


def purchase(scene: Scene) -> Act:
    """A customer puts goods in a basket, pays at the till and leaves with a bag."""
    act = Act("purchase", "", scene.start_s)
    layout, clerk = scene.layout, scene.clerk
    assert clerk is not None  # the planner plays this in shops alone
    place, colour = int(scene.rng.integers(len(layout.shelf_xs))), scene.colour()
    shelf_x, y = layout.shelf_xs[place], layout.floor_y + 0.12
    inner = 1 if layout.counter_x < 0.5 else -1
    buyer = scene.enter(inner, scene.look("", clerk.look), scene.start_s, y)
    buyer.go(shelf_x - 0.2 * scene.side * scene.unit(y))
    who = {"a": buyer.look, "bag": colour, "place": "shelf"}
    begin_s, states = buyer.clock, [(ALWAYS, ("shelf", layout.seed + place, 0))]
    buyer.do("reach", scene.seconds(1.5, 3), facing=scene.side).hold("basket").do("stand", scene.seconds(0.6, 1.5))
    states.append((buyer.clock - 0.6, ("shelf", layout.seed + place, 1)))
    act.phase(begin_s, buyer.clock, "pick", **who)
    buyer.go(layout.counter_x + inner * 0.24, layout.floor_y + 0.25)
    clerk.until(buyer.clock)
    begin_s, pay_s = buyer.clock, scene.seconds(2, 4)
    buyer.do("give", pay_s, facing=-inner)
    clerk.do("talk", pay_s, facing=inner).hold(f"bag:{colour}").do("give", 1.2).hold("")
    buyer.hold("").do("give", 1.0).hold(f"bag:{colour}")
    clerk.do("stand", 0.5)
    act.phase(begin_s, buyer.clock, "pay", **who)
    begin_s = buyer.clock
    leave_off(act, buyer, inner)
    act.phase(begin_s, buyer.clock - 0.3, "go", **who)
    act.actors.append(Prop(shelf_x, layout.wall_y, states))
    act.claims.add(f"shelf {place}")
    return act.close()


def browse(scene: Scene) -> Act:
    """A customer takes something off the shelf, looks at it, puts it back and goes."""
    act = Act("browse", "", scene.start_s)
    layout = scene.layout
    place, colour = (
        int(scene.rng.integers(len(layout.shelf_xs))),
        str(scene.rng.choice(["red", "yellow", "blue", "green"])),
    )
    shelf_x, y = layout.shelf_xs[place], layout.floor_y + 0.12
    person = scene.enter(int(scene.rng.choice([-1, 1])), scene.look(), scene.start_s, y)
    person.go(shelf_x - 0.2 * scene.side * scene.unit(y))
    who = {"a": person.look, "goods": colour, "place": "shelf"}
    begin_s = person.clock
    person.do("reach", scene.seconds(1.5, 2.5), facing=scene.side).hold(f"goods:{colour}")
    out_s = person.clock
    person.do("give", scene.seconds(2, 4))
    act.phase(begin_s, person.clock, "look", **who)
    begin_s = person.clock
    person.do("reach", scene.seconds(1.2, 2)).hold("")
    back_s = person.clock
    person.do("stand", scene.seconds(1, 2))
    act.phase(begin_s, person.clock, "put back", **who)
    leave_off(act, person, int(scene.rng.choice([-1, 1])))
    shelf = ("shelf", layout.seed + place)
    act.actors.append(
        Prop(shelf_x, layout.wall_y, [(ALWAYS, (*shelf, 0)), (out_s, (*shelf, 1)), (back_s, (*shelf, 0))])
    )
    act.claims.add(f"shelf {place}")
    return act.close()


def rest(scene: Scene) -> Act:
    """Somebody puts a bag down, waits beside it, and picks it up again."""
    act = Act("rest", "", scene.start_s)
    colour = scene.colour()
    owner = scene.enter(-scene.side, scene.look(), scene.start_s, item=f"bag:{colour}")
    down_s = owner.go(scene.x).stoop()
    who = {"a": owner.look, "bag": colour, "place": scene.place}
    begin_s = down_s - 0.6
    bag_x = scene.x + 0.2 * scene.side * scene.unit()
    owner.go(scene.x - scene.side * 0.1).do("phone", scene.seconds(3, 6), facing=-scene.side)
    act.phase(begin_s, owner.clock, "wait", **who)
    begin_s = owner.clock
    taken_s = owner.go(scene.x).stoop(f"bag:{colour}")
    leave_off(act, owner, int(scene.rng.choice([-1, 1])))
    act.phase(begin_s, owner.clock - 0.3, "pick up", **who)
    act.actors.append(Prop(bag_x, scene.y + 0.004, [(down_s, ("bag", colour)), (taken_s, None)]))
    return act.close()


def fetch(scene: Scene) -> Act:
    """A friend brings a bag that stands on the ground to its owner."""
    act = Act("fetch", "", scene.start_s)
    colour, unit, first = scene.colour(), scene.unit(), scene.look()
    owner = scene.enter(-scene.side, first, scene.start_s, item=f"bag:{colour}")
    down_s = owner.go(scene.x).stoop()
    bag_x = scene.x + 0.2 * scene.side * unit
    owner.go(scene.x - scene.side * 0.22).do("stand", scene.seconds(1, 2), facing=scene.side)
    friend = scene.enter(scene.side, scene.look("", first), owner.clock - 3.0)
    friend.go(bag_x + scene.side * 0.25 * unit)
    begin_s = friend.clock - 0.5
    taken_s = friend.stoop(f"bag:{colour}")
    friend.go(owner.x + scene.side * 0.5 * unit)
    owner.until(friend.clock)
    who = {"a": friend.look, "b": first, "bag": colour, "place": scene.place}
    act.phase(begin_s, friend.clock, "bring", **who)
    begin_s = friend.clock
    friend.do("give", 1.4).hold("").do("talk", 1.5)
    owner.do("give", 1.4).hold(f"bag:{colour}").do("stand", 1.5)
    act.phase(begin_s, friend.clock, "give", **who)
    leave_off(act, owner, -scene.side)
    leave_off(act, friend, -scene.side if scene.chance(0.5) else scene.side)
    act.actors.append(Prop(bag_x, scene.y + 0.004, [(down_s, ("bag", colour)), (taken_s, None)]))
    return act.close()


def poster(scene: Scene) -> Act:
    """Somebody puts up a poster on a wall."""
    return _at_wall(scene, Act("poster", "", scene.start_s))


def cleaning(scene: Scene) -> Act:
    """A worker wipes a window."""
    return _at_wall(scene, Act("cleaning", "", scene.start_s))


def _at_wall(scene: Scene, act: Act) -> Act:
    layout, facing, colour = scene.layout, -scene.side, scene.colour()
    wipes = act.kind == "cleaning"
    y, action = layout.floor_y + 0.07, "wipe"
    look = scene.look("worker") if scene.chance(0.5) else scene.look()
    person = scene.enter(scene.side, look, scene.start_s, y, "cloth" if wipes else "parcel")
    person.go(layout.wall_x - (0.62 if wipes else 0.5) * facing * scene.unit(y))
    who = {"a": look, "paint": colour, "place": scene.place}
    begin_s, half_s = person.clock, scene.seconds(3, 6)
    person.hold("cloth").do(action, half_s, facing=facing, dx=0.15 * facing * scene.unit(y) * wipes)
    act.phase(begin_s, person.clock, "begin", **who)
    middle_s = person.clock
    person.do(action, half_s, dx=0.15 * facing * scene.unit(y) * wipes)
    act.phase(middle_s, person.clock, "go on", **who)
    leave_off(act, person.hold("cloth" if wipes else ""), int(scene.rng.choice([-1, 1])))
    states = [(ALWAYS, ("window", "ok"))]
    if not wipes:
        states = [(begin_s + half_s * (0.3 + 0.5 * k), ("poster", colour, k + 1)) for k in range(3)]
    act.actors.append(Prop(layout.wall_x, layout.wall_y, states))
    act.claims.add("wall")
    return act.close()


def barbecue(scene: Scene) -> Act:
    """Somebody tends a grill whose small fire stays as it is."""
    act = Act("barbecue", "", scene.start_s)
    unit, x = scene.unit(), scene.x
    cook = scene.enter(scene.side, scene.look(), scene.start_s)
    cook.go(x + 0.5 * scene.side * unit)
    who = {"a": cook.look, "place": scene.place}
    begin_s, half_s = cook.clock, scene.seconds(4, 7)
    cook.do("pour" if scene.chance(0.5) else "give", half_s, facing=-scene.side)
    act.phase(begin_s, cook.clock, "cook", **who)
    guest = scene.enter(-scene.side, scene.look("", cook.look), cook.clock - 2.5)
    guest.go(x - 0.6 * scene.side * unit)
    cook.until(guest.clock, "give")
    begin_s = cook.clock
    cook.do("give", half_s)
    guest.do("talk", half_s)
    act.phase(begin_s, cook.clock, "guest", b=guest.look, **who)
    course = [
        (act.phases[0].start_s, 0.05),
        (act.phases[0].start_s + 0.8, 0.36),
        (cook.clock - 0.6, 0.36),
        (cook.clock, 0.0),
    ]
    act.actors.append(Fire(x, scene.y, course, 0.2, "grey", 0.6, 0.42 * unit))
    act.actors.append(Prop(x, scene.y, [(ALWAYS, ("grill", ""))]))
    leave_off(act, cook, scene.side)
    leave_off(act, guest, -scene.side)
    return act.close()


def trash(scene: Scene) -> Act:
    """Somebody bends over a bin, drops a bag in and crouches to tie a shoe."""
    act = Act("trash", "", scene.start_s)
    unit, paint, colour = scene.unit(), scene.paint(), scene.colour()
    person = scene.enter(scene.side, scene.look(), scene.start_s, scene.y + 0.02, f"bag:{colour}")
    person.go(scene.x + 0.42 * scene.side * unit)
    who = {"a": person.look, "thing": f"{paint} bin", "bag": colour, "place": scene.place}
    begin_s = person.clock
    person.do("pour", scene.seconds(2, 3), facing=-scene.side).hold("").do("stand", 0.8)
    act.phase(begin_s, person.clock, "drop", **who)
    begin_s = person.clock
    person.do("crouch", scene.seconds(2.5, 5))
    act.phase(begin_s, person.clock, "shoe", **who)
    leave_off(act, person, int(scene.rng.choice([-1, 1])))
    act.actors.append(Prop(scene.x, scene.y, [(ALWAYS, ("bin", paint))]))
    return act.close()


def headlights(scene: Scene) -> Act:
    """A car stops and its headlights dazzle the camera several times."""
    act = Act("headlights", "", scene.start_s)
    layout, lane = scene.layout, int(scene.rng.integers(len(scene.layout.lane_ys)))
    y, facing, paint = layout.lane_ys[lane], lane_facing(layout, lane), scene.paint()
    act.lanes = {lane}
    x, far, start_s = scene.seconds(0.35, 0.65), 0.5 - facing * 0.85, scene.start_s
    stop_s, wait_s = start_s + 3.5, scene.seconds(5, 9)
    knots = [(start_s, far), (stop_s - 0.8, x - 0.08 * facing), (stop_s, x), (stop_s + wait_s, x)]
    knots.append((stop_s + wait_s + 3.5, 0.5 + facing * 0.9))
    act.actors.append(Vehicle(y, knots, "van" if scene.chance(0.3) else "sedan", paint, facing, scene.night))
    spans, clock = [], stop_s + 0.3
    while clock < stop_s + wait_s - 1:
        long_s = scene.seconds(0.25, 1.2)
        spans.append((clock, clock + long_s))
        clock += long_s + scene.seconds(0.3, 1.2)
    flare_x = x + facing * 0.8 * scene.unit(y)
    act.actors.append(Lamp(flare_x, y - 0.28 * scene.unit(y), spans, 0.65, (230, 215, 175)))
    act.actors.append(Lamp(flare_x, y - 0.28 * scene.unit(y), spans, 0.16, (255, 255, 235)))
    vehicle = act.actors[0]
    assert isinstance(vehicle, Vehicle)
    who = {"car": f"{paint} {'van' if vehicle.style == 'van' else 'car'}", "place": scene.road}
    act.phase(stop_s - 1.0, stop_s + 0.5 * wait_s, "flash", **who)
    act.phase(stop_s + 0.5 * wait_s, stop_s + wait_s + 1.5, "drive on", **who)
    act.close()
    act.end_s = knots[-1][0]
    return act


def steam(scene: Scene) -> Act:
    """White steam rises from a drain; people walk round it."""
    act = Act("steam", "", scene.start_s)
    y = scene.y
    begin_s, long_s = scene.start_s + 1.0, scene.seconds(8, 14)
    course = [(begin_s, 0.0), (begin_s + 2, 1.0), (begin_s + long_s - 2, 0.9), (begin_s + long_s, 0.0)]
    act.actors.append(Steamer(scene.x, y, course, 0.3, "white", 1.2))
    act.actors.append(Prop(scene.x, y, [(ALWAYS, ("drain", ""))], nearer=-0.02))
    person = scene.enter(scene.side, scene.look(), begin_s + 1, y + 0.02)
    person.go(scene.x + 0.28 * scene.side).do("stand", scene.seconds(1, 2)).go(scene.x, y + 0.07)
    leave_off(act, person, -scene.side)
    who = {"a": person.look, "place": scene.place}
    middle_s = begin_s + 0.5 * long_s
    act.phase(begin_s, middle_s, "rise", **who)
    act.phase(middle_s, begin_s + long_s, "thin out", **who)
    act.close()
    act.end_s += 2
    return act


def crossing(scene: Scene) -> Act:
    """A car brakes for a pedestrian, waits, and drives on."""
    act = Act("crossing", "", scene.start_s)
    layout, lane = scene.layout, int(scene.rng.integers(len(scene.layout.lane_ys)))
    y, facing, paint = layout.lane_ys[lane], lane_facing(layout, lane), scene.paint()
    act.lanes = set(range(len(layout.lane_ys)))
    x, far = scene.seconds(0.5, 0.62) if facing > 0 else scene.seconds(0.38, 0.5), 0.5 - facing * 0.85
    walker = scene.enter(facing, scene.look(), scene.start_s, layout.walk_ys[1])
    walker.go(x).do("stand", scene.seconds(0.5, 1.5))
    start_s = walker.clock
    walker.go(x + 0.02, 0.95)
    crossed_s = walker.clock
    leave_off(act, walker, int(scene.rng.choice([-1, 1])))
    stop_x = x - facing * 1.6 * scene.unit(y)
    knots = [
        (start_s - 3.0, far),
        (start_s - 0.8, stop_x - 0.09 * facing),
        (start_s, stop_x),
        (crossed_s + 0.3, stop_x),
    ]
    knots += [(crossed_s + 1.3, stop_x + 0.1 * facing), (crossed_s + 4, 0.5 + facing * 0.9)]
    style = "van" if scene.chance(0.3) else "sedan"
    act.actors.append(Vehicle(y, knots, style, paint, facing, scene.night))
    who = {"a": walker.look, "car": f"{paint} {'van' if style == 'van' else 'car'}", "place": scene.road}
    act.phase(start_s - 1.5, start_s + 0.5 * (crossed_s - start_s), "brake", **who)
    act.phase(start_s + 0.5 * (crossed_s - start_s), crossed_s + 2, "drive on", **who)
    act.close()
    act.end_s = max(act.end_s, knots[-1][0])
    return act


def pickup(scene: Scene) -> Act:
    """A car stops, somebody walks up, talks to the driver and goes; the car drives on."""
    act = Act("pickup", "", scene.start_s)
    layout, lane = scene.layout, 0
    y, facing, paint = layout.lane_ys[lane], lane_facing(layout, lane), scene.paint()
    act.lanes = {lane}
    x, far, start_s = scene.seconds(0.42, 0.58), 0.5 - facing * 0.85, scene.start_s
    stop_s = start_s + 3.5
    side = int(scene.rng.choice([-1, 1]))
    person = Puppet(layout, make_look(scene.rng), 0.5 + 0.68 * side, y - 0.03, start_s)
    person.go(x + 0.1 * side)
    talk_s = max(stop_s, person.clock)
    person.until(talk_s).do("talk", scene.seconds(4, 7), facing=-side)
    go_s = person.clock
    leave_off(act, person, side)
    knots = [(start_s, far), (stop_s - 0.9, x - 0.08 * facing), (stop_s, x), (go_s, x), (go_s + 1, x + 0.1 * facing)]
    knots.append((go_s + 3.8, 0.5 + facing * 0.9))
    act.actors.append(Vehicle(y, knots, "sedan", paint, facing, scene.night))
    who = {"a": person.look, "car": f"{paint} car", "place": scene.road}
    act.phase(stop_s - 1.0, 0.5 * (stop_s + go_s), "stop", **who)
    act.phase(0.5 * (stop_s + go_s), go_s + 1.5, "part", **who)
    act.close()
    act.end_s = max(act.end_s, knots[-1][0])
    return act
