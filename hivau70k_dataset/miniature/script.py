"""What a script of the miniature set is made of: a scene to play in, and the act that comes out with its truth."""

from dataclasses import dataclass, field, replace

import numpy as np

from .figures import Look, make_look
from .layouts import Layout
from .stage import ALWAYS, Actor, Prop, Puppet
from .things import PAINTS


@dataclass(frozen=True)
class Phase:
    """A stretch in which one thing happens: `fact` names it, `slots` says who, what and where."""

    start_s: float
    end_s: float
    fact: str
    slots: dict[str, Look | str]


@dataclass
class Act:
    """What one script puts on the stage. `label` is the anomaly's class, "" for everyday life."""

    kind: str
    label: str
    start_s: float  # when the first actor appears
    end_s: float = 0.0  # when the place is free again
    phases: list[Phase] = field(default_factory=list)
    actors: list[Actor] = field(default_factory=list)
    claims: set[str] = field(default_factory=set)  # fixed places nobody else may use: "wall", "parked 0", "shelf 1"
    lanes: set[int] = field(default_factory=set)  # lanes of the road no other car may use meanwhile
    is_cut: bool = False  # the video begins or ends in the middle of it

    def phase(self, start_s: float, end_s: float, fact: str, **slots: Look | str) -> None:
        self.phases.append(Phase(start_s, end_s, f"{self.kind}/{fact}", slots))

    def close(self) -> "Act":
        """The act with its end set to when the last of its people is gone."""
        self.end_s = max(
            [p.clock for p in self.actors if isinstance(p, Puppet)] + [phase.end_s for phase in self.phases]
        )
        return self

    def undone(self) -> list[Actor]:
        """What is left on the stage if nothing of this happens: its things, as they were at first."""
        things = [actor for actor in self.actors if isinstance(actor, Prop)]
        return [replace(thing, states=thing.states[:1]) for thing in things if thing.states[0][0] == ALWAYS]


class Scene:
    """Where and when one script plays, and the choices it draws."""

    def __init__(self, layout: Layout, rng: np.random.Generator, start_s: float, clerk: Puppet | None, night: bool):
        self.layout, self.rng, self.start_s, self.clerk, self.night = layout, rng, start_s, clerk, night
        self.side = 1 if rng.random() < 0.5 else -1
        self.y = float(rng.choice(layout.act_ys)) + float(rng.uniform(-0.015, 0.015))
        self.x = float(rng.uniform(0.36, 0.64))
        for parked_x, parked_y in layout.parked:  # not behind a parked car
            if parked_y > self.y and abs(self.x - parked_x) < 0.36:
                self.x = parked_x + (0.36 if self.x > parked_x or parked_x < 0.4 else -0.36)

    def unit(self, y: float | None = None) -> float:
        """One body height at row `y`, as a share of the picture."""
        return self.layout.scale(self.y if y is None else y)

    def seconds(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def colour(self) -> str:
        """Of a bag or of paint: one that shows."""
        return str(self.rng.choice(["red", "blue", "green", "yellow", "orange", "purple"]))

    def paint(self) -> str:
        return str(self.rng.choice(list(PAINTS)))

    def look(self, who: str = "", other: Look | None = None) -> Look:
        """Somebody; with `other` given, in a coat of another colour, so that words can tell the two apart."""
        look = make_look(self.rng, who)
        while other is not None and look.coat == other.coat:
            look = make_look(self.rng, who)
        return look

    def enter(self, side: int, look: Look, start_s: float, y: float | None = None, item: str = "") -> Puppet:
        """Somebody who comes in from the left (-1) or the right (1)."""
        y = self.y if y is None else y
        return Puppet(self.layout, look, 0.5 + 0.68 * side, y, start_s, -side, item)

    @property
    def place(self) -> str:
        """Where this row is, as a key of the wording."""
        return "pavement" if self.layout.kind == "street" else self.layout.kind

    @property
    def road(self) -> str:
        """Where cars drive, as a key of the wording."""
        return "road" if self.layout.kind == "street" else "lane"


def leave_off(act: Act, puppet: Puppet, side: int, action: str = "walk") -> Puppet:
    """Send somebody out of the picture and add them to the act."""
    puppet.leave(side, action)
    act.actors.append(puppet)
    return puppet
