"""Anomalies among people: fighting, arrest, robbery, shooting, shoplifting, stealing."""

from .figures import Look
from .script import Act, Scene, leave_off
from .stage import ALWAYS, Flicker, Prop, Puppet


def _two_meet(scene: Scene, gap: float, who: str = "") -> tuple[Puppet, Puppet]:
    """Two people who come from both sides and stop `gap` body heights apart, facing each other."""
    first, start_s = scene.look(who), scene.start_s
    left = scene.enter(-1, first, start_s + scene.seconds(0, 0.8))
    right = scene.enter(1, scene.look(who, first), start_s + scene.seconds(0, 0.8))
    half = 0.5 * gap * scene.unit()
    left.go(scene.x - half)
    right.go(scene.x + half)
    met_s = max(left.clock, right.clock)
    left.until(met_s, facing=1)
    right.until(met_s, facing=-1)
    return left, right


def fighting(scene: Scene) -> Act:
    """Two people shove each other, then both throw punches until one goes down and the other runs."""
    act = Act("Fighting", "Fighting", scene.start_s)
    one, two = _two_meet(scene, 0.5)
    if scene.chance(0.5):
        one, two = two, one
    who = {"a": one.look, "b": two.look, "place": scene.place}
    begin_s, step = one.clock, 0.05 * one.facing * scene.unit()
    for _ in range(int(scene.rng.integers(1, 3))):
        one.do("shove", 1.0).do("guard", 0.5)
        two.do("reel", 1.0, dx=step).do("shove", 1.0)
        one.do("reel", 0.5)
    one.until(two.clock, "guard")
    act.phase(begin_s, one.clock, "shove", **who)
    begin_s, long_s = one.clock, scene.seconds(4, 8)
    one.do("punch", long_s, dx=step)
    two.do("guard", 0.3).do("punch", long_s - 1.3, dx=0.4 * step).do("reel", 1.0)
    act.phase(begin_s, one.clock, "punch", **who)
    begin_s, lie_s = one.clock, scene.seconds(3, 5)
    two.do("fall", 0.6, dx=3 * step).do("lie", lie_s).do("rise", 1.2)
    one.do("guard", 0.8)
    for _ in range(int(scene.rng.integers(1, 3))):
        one.go(two.x - 8 * step).do("kick", 1.2, facing=two.facing * -1)
    leave_off(act, one, int(scene.rng.choice([-1, 1])), "run")
    act.phase(begin_s, min(one.clock, begin_s + lie_s + 1), "down", **who)
    leave_off(act, two, two.facing * -1)
    if scene.chance(0.6):
        _onlooker(scene, act, act.phases[0].start_s)
    return act.close()


def _onlooker(scene: Scene, act: Act, since_s: float) -> None:
    """Somebody who stops at a distance to watch."""
    side = int(scene.rng.choice([-1, 1]))
    watcher = scene.enter(side, scene.look(), since_s, scene.layout.walk_ys[1])
    watcher.go(0.5 + 0.34 * side, speed=0.9).until(act.phases[-1].end_s, "stand")
    leave_off(act, watcher, side)


def arrest(scene: Scene) -> Act:
    """An officer stops somebody, who raises the hands, kneels, is handcuffed and led away."""
    act = Act("Arrest", "Arrest", scene.start_s)
    suspect = scene.look()
    held = scene.enter(-scene.side, suspect, scene.start_s)
    held.go(scene.x).do("phone" if scene.chance(0.5) else "stand", scene.seconds(1, 3))
    gap = 0.5 * scene.unit()
    officers = [scene.enter(scene.side, scene.look("officer"), held.clock - 2.0)]
    officers[0].go(scene.x + scene.side * gap, action="run")
    if scene.chance(0.6):
        officers.append(scene.enter(-scene.side, scene.look("officer"), held.clock - 1.0))
        officers[1].go(scene.x - scene.side * gap, action="run")
    met_s = max(o.clock for o in officers)
    who = {"a": suspect, "n": "two" if len(officers) > 1 else "one", "place": scene.place}
    held.until(officers[0].clock - 0.5)
    for officer in officers:
        officer.until(met_s, "point")
    start_s = officers[0].clock - 0.8 if len(officers) == 1 else min(officers[0].clock, met_s) - 0.8
    hands_s, cuff_s = scene.seconds(2, 4), scene.seconds(3, 5)
    held.do("hands_up", met_s + hands_s - held.clock, facing=scene.side)
    for officer in officers:
        officer.do("point", hands_s)
    act.phase(start_s, held.clock, "stop", **who)
    begin_s = held.clock
    held.do("kneel", 0.4 * cuff_s).do("cuffed", 0.6 * cuff_s)
    for officer in officers:
        officer.do("point", 0.4 * cuff_s).go(scene.x + (officer.x - scene.x) * 0.6).until(
            held.clock, "give", _toward(officer, held)
        )
    act.phase(begin_s, held.clock, "cuff", **who)
    begin_s = held.clock
    for place, officer in enumerate(officers):
        officer.go(scene.x - scene.side * (0.34 if place == 0 else -0.34) * scene.unit(), speed=1.5)
    ready_s = max(held.clock, *(o.clock for o in officers))
    for person, wait, action in [(held, "cuffed", "led"), *((officer, "stand", "grip") for officer in officers)]:
        person.until(ready_s, wait)
        person.leave(scene.side, action)
        act.actors.append(person)
    act.phase(begin_s, max(begin_s + 2.0, held.clock - 1.0), "lead", **who)
    return act.close()


def _toward(one: Puppet, other: Puppet) -> int:
    return 1 if other.x > one.x else -1


def robbery(scene: Scene) -> Act:
    """Somebody is held up at gunpoint, gives away a bag with the hands raised, and the robber runs."""
    act = Act("Robbery", "Robbery", scene.start_s)
    colour = scene.colour()
    if scene.clerk is not None:
        return _shop_robbery(scene, act, colour)
    owner = scene.look()
    victim = scene.enter(-scene.side, owner, scene.start_s, item=f"bag:{colour}")
    victim.go(scene.x).do("stand", scene.seconds(1, 3), facing=scene.side)
    robber = scene.enter(scene.side, scene.look("", owner), scene.start_s + 1)
    robber.go(scene.x + scene.side * 0.82 * scene.unit())
    victim.until(robber.clock - 0.3)
    who = {"a": robber.look, "b": owner, "bag": colour, "place": scene.place}
    begin_s, threat_s, give_s = robber.clock, scene.seconds(3, 5), scene.seconds(1.5, 2.5)
    robber.hold("gun").do("aim", threat_s)
    victim.do("hands_up", robber.clock - victim.clock, facing=scene.side)
    act.phase(begin_s, robber.clock, "threat", **who)
    begin_s = robber.clock
    step = scene.side * 0.1 * scene.unit()
    victim.do("give", give_s, dx=step).hold("")
    robber.do("aim", give_s, dx=-step).hold(f"bag:{colour}").do("give", 0.7)
    victim.do("hands_up", 1.5, dx=-step)
    act.phase(begin_s, robber.clock, "hand over", **who)
    return _robber_runs(scene, act, robber, victim, who)


def _shop_robbery(scene: Scene, act: Act, colour: str) -> Act:
    clerk, layout = scene.clerk, scene.layout
    inner = 1 if layout.counter_x < 0.5 else -1  # from the counter towards the middle of the shop
    robber = scene.enter(inner, scene.look("", clerk.look), scene.start_s, layout.floor_y + 0.25)
    robber.go(layout.counter_x + inner * 0.28)
    who = {"a": robber.look, "b": clerk.look, "bag": colour, "place": "counter"}
    clerk.until(robber.clock)
    begin_s, threat_s, give_s = robber.clock, scene.seconds(3, 6), scene.seconds(2, 3)
    robber.hold("gun").do("aim", threat_s, facing=-inner)
    clerk.do("hands_up", threat_s, facing=inner)
    act.phase(begin_s, robber.clock, "threat", **who)
    begin_s = robber.clock
    clerk.hold(f"bag:{colour}").do("give", give_s).hold("").do("hands_up", 2.0)
    robber.do("aim", give_s).hold(f"bag:{colour}").do("give", 0.7)
    act.phase(begin_s, robber.clock, "hand over", **who)
    return _robber_runs(scene, act, robber, clerk, who)


def _robber_runs(scene: Scene, act: Act, robber: Puppet, victim: Puppet, who: dict[str, Look | str]) -> Act:
    begin_s = robber.clock
    leave_off(act, robber, 1 if robber.x > victim.x else -1, "run")
    victim.do("phone" if scene.chance(0.5) else "alarm", scene.seconds(2.5, 4))
    act.phase(begin_s, max(robber.clock, victim.clock), "flee", **who)
    if victim is not scene.clerk:
        leave_off(act, victim, 1 if robber.x < victim.x else -1)
    return act.close()


def shooting(scene: Scene) -> Act:
    """Somebody draws a pistol and fires at a group: one falls, the others flee."""
    act = Act("Shooting", "Shooting", scene.start_s)
    first, unit = scene.look(), scene.unit()
    target_x = scene.x - scene.side * 0.14
    people = [
        scene.enter(-scene.side, first, scene.start_s),
        scene.enter(-scene.side, scene.look(), scene.start_s + 0.9),
    ]
    for place, person in enumerate(people):
        person.go(target_x - scene.side * 0.55 * unit * place)
    people[1].facing = scene.side
    gunman = scene.enter(scene.side, scene.look("", first), scene.start_s + 1.5)
    gunman.go(target_x + scene.side * scene.seconds(0.3, 0.38))
    for person in people:
        person.until(gunman.clock + 0.6, "talk" if person is people[0] else "stand")
    who = {"a": gunman.look, "b": first, "place": scene.place}
    begin_s, aim_s, shots = gunman.clock, scene.seconds(1.5, 3), int(scene.rng.integers(3, 7))
    gunman.hold("gun").do("aim", aim_s)
    people[0].until(gunman.clock, "hands_up", scene.side)
    people[1].until(gunman.clock, "hands_up", scene.side)
    act.phase(begin_s, gunman.clock, "aim", **who)
    begin_s, every_s = gunman.clock, scene.seconds(0.55, 0.9)
    gunman.do("shoot", every_s * shots).do("aim", 0.8)
    spot = gunman.x + gunman.facing * 0.52 * unit
    bangs = [begin_s + every_s * k for k in range(shots)]
    act.actors.append(Flicker("spark", spot, scene.y - 0.79 * unit, scene.y, bangs, gunman.facing, 0.3, 0.2))
    people[0].do("reel", 0.8).do("fall", 0.6, dx=-scene.side * 0.1)
    people[1].do("reel", 0.5)
    leave_off(act, people[1], -scene.side, "run")
    act.phase(begin_s, gunman.clock, "fire", **who)
    begin_s = gunman.clock
    leave_off(act, gunman, scene.side, "run")
    lie_s = scene.seconds(3, 6)
    people[0].until(begin_s + lie_s, "lie")
    act.phase(begin_s, begin_s + lie_s, "lie", **who)
    people[0].do("rise", 1.5)
    leave_off(act, people[0], -scene.side)
    return act.close()


def shoplifting(scene: Scene) -> Act:
    """A customer takes goods off a shelf, hides them under the coat and leaves past the till."""
    act = Act("Shoplifting", "Shoplifting", scene.start_s)
    layout, place = scene.layout, int(scene.rng.integers(len(scene.layout.shelf_xs)))
    shelf_x, y = layout.shelf_xs[place], layout.floor_y + 0.12
    away = 1 if layout.counter_x > shelf_x else -1
    thief = scene.enter(int(scene.rng.choice([-1, 1])), scene.look(), scene.start_s, y)
    facing = scene.side
    thief.go(shelf_x - 0.2 * facing * scene.unit(y)).do("stand", scene.seconds(0.5, 2), facing=facing)
    colour, gaps, begin_s = str(scene.rng.choice(["red", "yellow", "blue", "green"])), 0, thief.clock
    states = [(ALWAYS, ("shelf", layout.seed + place, 0))]
    who = {"a": thief.look, "goods": colour, "place": "shelf"}
    for _ in range(int(scene.rng.integers(2, 4))):
        thief.hold("").do("reach", scene.seconds(1.5, 2.5))
        gaps += 1
        states.append((thief.clock, ("shelf", layout.seed + place, gaps)))
        thief.hold(f"goods:{colour}").do("give", 0.6)
        hidden_s = thief.clock
        thief.do("hide", scene.seconds(1.4, 2.4))
    act.phase(begin_s, hidden_s, "take", **who)
    thief.hold("").do("hide", 0.8, facing=-facing).do("stand", 0.6, facing=facing)
    act.phase(hidden_s, thief.clock, "hide", **who)
    begin_s = thief.clock
    thief.go(thief.x, layout.floor_y + 0.3)
    leave_off(act, thief, away, "walk" if scene.chance(0.5) else "run")
    act.phase(begin_s, thief.clock - 0.4, "leave", **who)
    act.actors.append(Prop(shelf_x, layout.wall_y, states))
    act.claims.add(f"shelf {place}")
    return act.close()


def stealing(scene: Scene) -> Act:
    """A bag stands on the ground while its owner looks away; somebody else takes it and runs."""
    act = Act("Stealing", "Stealing", scene.start_s)
    owner_look, colour, unit = scene.look(), scene.colour(), scene.unit()
    owner = scene.enter(-scene.side, owner_look, scene.start_s, item=f"bag:{colour}")
    down_s = owner.go(scene.x).stoop()
    bag_x = scene.x + 0.2 * scene.side * unit
    owner.go(scene.x - scene.side * 0.22).do("phone", scene.seconds(2, 4), facing=-scene.side)
    thief = scene.enter(scene.side, scene.look("", owner_look), owner.clock - 3.0)
    thief.go(bag_x + scene.side * 0.25 * unit)
    begin_s = thief.clock - 0.8
    taken_s = thief.do("stand", 0.8).stoop(f"bag:{colour}")
    who = {"a": thief.look, "b": owner_look, "bag": colour, "place": scene.place}
    owner.until(thief.clock + 0.4, "phone")
    act.phase(begin_s, thief.clock, "take", **who)
    begin_s = thief.clock
    leave_off(act, thief, scene.side, "run")
    owner.do("alarm", scene.seconds(1.2, 2.2), facing=scene.side)
    act.phase(begin_s, max(thief.clock, owner.clock), "flee", **who)
    begin_s = act.phases[-1].end_s
    owner.until(begin_s, "alarm")
    if scene.chance(0.5):
        leave_off(act, owner, scene.side, "run")
        act.phase(begin_s, owner.clock - 0.3, "chase", **who)
    else:
        owner.go(scene.x).do("alarm", scene.seconds(1.5, 3))
        act.phase(begin_s, owner.clock, "miss", **who)
        leave_off(act, owner, -scene.side)
    act.actors.append(Prop(bag_x, scene.y + 0.004, [(down_s, ("bag", colour)), (taken_s, None)]))
    return act.close()
