"""Which video of the miniature set shows what, when and where: all of it follows from (seed, split, index)."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from . import crimes, damage, everyday
from .ambient import furniture, make_camera, make_clerk, passers_by, traffic
from .layouts import FIRST_TEST_LAYOUT, KINDS, TEST_LAYOUTS, TRAIN_LAYOUTS, Layout, make_layout
from .script import Act, Phase, Scene
from .stage import Actor, Camera, Puppet, Stage, Vehicle


SPLITS = ("train", "test")
Script = Callable[[Scene], Act]

OUTDOORS, PUBLIC, EVERYWHERE = ("street", "car park"), ("street", "car park", "corridor"), KINDS
CRIMES: dict[str, tuple[Script, tuple[str, ...]]] = {
    "Arrest": (crimes.arrest, EVERYWHERE),
    "Arson": (damage.arson, PUBLIC),
    "Explosion": (damage.explosion, OUTDOORS),
    "Fighting": (crimes.fighting, EVERYWHERE),
    "RoadAccidents": (damage.accident, OUTDOORS),
    "Robbery": (crimes.robbery, EVERYWHERE),
    "Shooting": (crimes.shooting, EVERYWHERE),
    "Shoplifting": (crimes.shoplifting, ("shop",)),
    "Stealing": (crimes.stealing, PUBLIC),
    "Vandalism": (damage.vandalism, PUBLIC),
}
LOOK_ALIKES: dict[str, tuple[tuple[Script, tuple[str, ...]], ...]] = {
    "Arrest": ((everyday.directions, EVERYWHERE),),
    "Arson": ((everyday.barbecue, OUTDOORS), (everyday.trash, PUBLIC)),
    "Explosion": ((everyday.headlights, OUTDOORS), (everyday.steam, OUTDOORS)),
    "Fighting": ((everyday.hug, EVERYWHERE), (everyday.dance, EVERYWHERE)),
    "RoadAccidents": ((everyday.crossing, OUTDOORS), (everyday.pickup, OUTDOORS)),
    "Robbery": ((everyday.delivery, PUBLIC), (everyday.purchase, ("shop",))),
    "Shooting": ((everyday.photo, EVERYWHERE),),
    "Shoplifting": ((everyday.purchase, ("shop",)), (everyday.browse, ("shop",))),
    "Stealing": ((everyday.rest, PUBLIC), (everyday.fetch, PUBLIC)),
    "Vandalism": ((everyday.poster, PUBLIC), (everyday.cleaning, PUBLIC)),
}
CLASSES = tuple(CRIMES)
NORMALS_IN_ROUND = 8  # of 18 videos: each class once, and 44 % without an anomaly
MORE_EVENTS = (0.74, 0.19, 0.07)  # shares of abnormal videos with one, two and three events
MIN_DURATION_S, MAX_DURATION_S = 20.0, 180.0
CAST_ATTEMPTS = 12
SECONDS_FOR_AN_ACT = 14.0  # a video gets as many acts as it has room for
PAUSE_S = 1.0  # between two acts
EDGE_S = 0.4  # between the ends of the video and the nearest phase, unless an act is cut there
CUT_SHARE = 0.3  # of the beginnings and of the ends of videos: an act is under way there
SHORTEST_S = 0.6  # a phase of which the video shows less has no clip of its own
LEFT_S = 3.0  # at least so much of an act that is cut can be seen


@dataclass(frozen=True)
class VideoPlan:
    """One video before it is drawn."""

    name: str
    split: str
    index: int
    layout: Layout
    camera: Camera
    fps: float
    n_frames: int
    acts: tuple[Act, ...]  # in order; those with a label are the anomalies
    quiet: tuple[Phase, ...]  # stretches between the acts, for captions of normal videos
    clerk: Puppet | None
    seed: tuple[int, int, int]

    @property
    def duration_s(self) -> float:
        return self.n_frames / self.fps

    @property
    def events(self) -> tuple[Act, ...]:
        return tuple(act for act in self.acts if act.label)

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(act.label for act in self.events))


def _rng(seed: tuple[int, int, int], *stream: int) -> np.random.Generator:
    return np.random.default_rng([*seed, *stream])


def first_class(seed: int, split: str, index: int) -> str:
    """The class of a video's first choice, "" for normal: every 18 videos hold each class once."""
    turn, place = divmod(index, len(CLASSES) + NORMALS_IN_ROUND)
    rng = np.random.default_rng([seed, SPLITS.index(split), turn, 18])
    return str(rng.permutation([*CLASSES, *[""] * NORMALS_IN_ROUND])[place])


def _choose_scripts(label: str, kind: str, duration_s: float, rng: np.random.Generator) -> list[tuple[str, Script]]:
    """The acts of a video in order: (class or "", script), none twice."""
    chosen: list[tuple[str, Script]] = []
    if label:
        chosen.append((label, CRIMES[label][0]))
        others = [name for name in CLASSES if kind in CRIMES[name][1] and name != label]
        more = int(rng.choice(3, p=MORE_EVENTS)) if duration_s > 34 else 0
        chosen += [(str(name), CRIMES[str(name)][0]) for name in rng.permutation(others)[:more]]
    shares = (0.3, 0.45, 0.25, 0.0) if label else (0.0, 0.45, 0.4, 0.15)
    count = min(int(rng.choice(4, p=shares)), max(0, int(duration_s / SECONDS_FOR_AN_ACT) - len(chosen)))
    scripts: list[Script] = []
    for name in rng.permutation([name for name in CLASSES if any(kind in places for _, places in LOOK_ALIKES[name])]):
        fitting = [script for script, places in LOOK_ALIKES[str(name)] if kind in places]
        scripts.append(fitting[int(rng.integers(len(fitting)))])
    chosen += [("", script) for script in dict.fromkeys(scripts)][: max(count, 0 if label else 1)]
    order = rng.permutation(len(chosen))
    return [chosen[int(place)] for place in order]


@dataclass(frozen=True)
class _Cast:
    """A script that has found room: its stream of random numbers, and the act it gives when it starts at 0 s."""

    script: Script
    stream: tuple[int, int]
    draft: Act


def _cast(scripts: list[tuple[str, Script]], layout: Layout, dark: bool, seed: tuple[int, int, int]) -> list[_Cast]:
    """Choose the fixed places of the acts so that no two use one wall or one parked car; drop what finds none."""
    casts: list[_Cast] = []
    claims: set[str] = set()
    for place, (_, script) in enumerate(scripts):
        for attempt in range(CAST_ATTEMPTS):
            clerk = make_clerk(layout, _rng(seed, 4))
            draft = script(Scene(layout, _rng(seed, 5, place, attempt), 0.0, clerk, dark))
            if not draft.claims & claims:
                claims |= draft.claims
                casts.append(_Cast(script, (place, attempt), draft))
                break
    return casts


def _play(
    casts: list[_Cast], layout: Layout, dark: bool, duration_s: float, seed: tuple[int, int, int]
) -> tuple[list[Act], float, Puppet | None]:
    """Put the acts on one after the other, with the spare time spread unevenly between them; longer if need be.

    The first may have begun before the video does, and the last may go on after it; what is annotated then begins or
    ends with the video.
    """
    rng = _rng(seed, 3)
    first, last = casts[0].draft, casts[-1].draft
    lead_s, tail_s = first.phases[0].start_s - first.start_s, last.end_s - last.phases[-1].end_s
    early_s, late_s = _cuts(first, last, _rng(seed, 11))
    edges_s = [EDGE_S if cut_s == 0 else -cut_s for cut_s in (early_s, late_s)]
    needs_s = sum(cast.draft.end_s + PAUSE_S for cast in casts) - PAUSE_S - lead_s - tail_s + sum(edges_s)
    free = np.ones(len(casts) + 1)  # gaps that may be long
    free[[0, -1]] = [early_s == 0, late_s == 0]
    spare = np.zeros(len(free))
    if free.any():
        duration_s = max(duration_s, min(MAX_DURATION_S, needs_s + float(rng.uniform(2, 12))))
        spare[free > 0] = rng.dirichlet([0.7] * int(free.sum())) * (duration_s - needs_s)
    else:
        duration_s = needs_s
    clock, clerk = edges_s[0] - lead_s, make_clerk(layout, _rng(seed, 4))
    acts: list[Act] = []
    for gap_s, cast in zip(spare, casts):
        acts.append(cast.script(Scene(layout, _rng(seed, 5, *cast.stream), clock + float(gap_s), clerk, dark)))
        clock = acts[-1].end_s + PAUSE_S
    return acts, duration_s, clerk


def _cuts(first: Act, last: Act, rng: np.random.Generator) -> tuple[float, float]:
    """Seconds of the first act that pass before the video, and of the last that pass after it; mostly none."""
    cuts_s = []
    for act in (first, last):
        room_s = act.phases[-1].end_s - act.phases[0].start_s - LEFT_S
        drawn, share = rng.random() < CUT_SHARE, rng.uniform(0.15, 1.0)
        cuts_s.append(float(share * room_s) if drawn and room_s > 1 else 0.0)
    return (0.0, cuts_s[1]) if first is last and all(cuts_s) else (cuts_s[0], cuts_s[1])


def _seen(act: Act, duration_s: float) -> Act:
    """The act with what passes within the video alone; a rest too short to show its phase goes to the next one."""
    start_s, end_s = max(0.0, act.phases[0].start_s), min(duration_s, act.phases[-1].end_s)
    if (start_s, end_s) == (act.phases[0].start_s, act.phases[-1].end_s):
        return act
    inside = [p for p in act.phases if min(end_s, p.end_s) - max(start_s, p.start_s) > SHORTEST_S]
    phases = [replace(phase, start_s=max(start_s, phase.start_s), end_s=min(end_s, phase.end_s)) for phase in inside]
    phases[0] = replace(phases[0], start_s=start_s)
    phases[-1] = replace(phases[-1], end_s=end_s)
    return replace(act, phases=phases, is_cut=True)


def _draw_duration(rng: np.random.Generator) -> tuple[float, float]:
    """Length in seconds and frames per second: mostly short and slow, as surveillance is; some long, some fast."""
    kind = rng.random()
    duration_s = float(
        rng.uniform(22, 48) if kind < 0.83 else rng.uniform(48, 90) if kind < 0.95 else rng.uniform(90, 170)
    )
    fps = float(rng.choice([10, 12, 12.5, 15, 25, 30], p=[0.38, 0.3, 0.1, 0.14, 0.05, 0.03]))
    return duration_s, min(fps, 12.0) if duration_s > 90 else fps


def build_plan(seed: int, split: str, index: int) -> VideoPlan:
    """Everything about video `index` of the set that is drawn from `seed`, whatever the size it is rendered at.

    Example:

    >>> plan = build_plan(0, "test", 3)
    >>> plan.name, plan.fps, 20 <= plan.duration_s <= 180
    ('Normal_003_mini', 12.0, True)
    """
    key = (seed, SPLITS.index(split), index)
    rng = _rng(key, 1)
    label = first_class(seed, split, index)
    kind = str(rng.choice(CRIMES[label][1] if label else KINDS))
    number = (
        int(rng.integers(TRAIN_LAYOUTS)) if split == "train" else FIRST_TEST_LAYOUT + int(rng.integers(TEST_LAYOUTS))
    )
    layout = make_layout(kind, number)
    wanted_s, fps = _draw_duration(rng)
    dark = make_camera(layout, 1.0, _rng(key, 2)).lamps
    casts = _cast(_choose_scripts(label, kind, wanted_s, rng), layout, dark, key)
    acts, duration_s, clerk = _play(casts, layout, dark, wanted_s, key)
    n_frames = int(duration_s * fps)
    duration_s = n_frames / fps
    acts = [_seen(act, duration_s) for act in acts]
    camera = make_camera(layout, duration_s, _rng(key, 2))
    labels = [act.label for act in acts if act.label]
    name = f"{labels[0] if labels else 'Normal_'}{index:03d}_mini"
    quiet = _quiet(layout, acts, duration_s, key)
    return VideoPlan(name, split, index, layout, camera, fps, n_frames, tuple(acts), quiet, clerk, key)


def _quiet(layout: Layout, acts: list[Act], duration_s: float, key: tuple[int, int, int]) -> tuple[Phase, ...]:
    """What passes in the gaps between the acts: people, cars, both or nothing."""
    edges = [0.0, *(edge for act in acts for edge in (act.phases[0].start_s, act.phases[-1].end_s)), duration_s]
    people = passers_by(layout, duration_s, _rng(key, 6))
    cars = traffic(layout, acts, duration_s, False, _rng(key, 7))
    phases = []
    for start_s, end_s in zip(edges[::2], edges[1::2]):
        if end_s - start_s < 5:
            continue
        end_s = min(end_s, start_s + 12)
        moving = sum(_shown(person, start_s, end_s) for person in people)
        driving = sum(_shown(car, start_s, end_s) for car in cars)
        fact = f"{'crowd' if moving > 4 else 'people' if moving else 'nobody'} {'cars' if driving else 'no cars'}"
        phases.append(Phase(start_s + 0.2, end_s - 0.2, f"ambient/{fact}", {"place": layout.kind}))
    return tuple(phases)


def _shown(actor: Puppet | Vehicle, start_s: float, end_s: float) -> bool:
    """Whether somebody is well inside the picture at any of a few moments of the span."""
    moments = np.linspace(start_s, end_s, 9)
    return any(0.05 < shot.x < 0.95 for moment in moments for shot in actor.shots(float(moment)))


def _clerk(plan: VideoPlan, played: Puppet, events: bool) -> Puppet:
    """The clerk as played, up to the end of the video; with `events=False` just standing through the anomalies."""
    clerk = copy.copy(played)
    clerk.segments, clerk.starts = list(played.segments), list(played.starts)
    if not events:
        for place, part in enumerate(clerk.segments):
            if any(act.start_s <= part.start_s < act.end_s for act in plan.events):
                clerk.segments[place] = replace(part, action="stand", item="")
    return clerk.until(plan.duration_s + 5)


def build_stage(plan: VideoPlan, size: int, events: bool = True) -> Stage:
    """The stage of a plan; with `events=False` the same video as if none of its anomalies happened."""
    key, duration_s, layout = plan.seed, plan.duration_s, plan.layout
    scripted = list(plan.acts)
    actors: list[Actor] = []
    for act in scripted:
        actors += act.actors if events or not act.label else act.undone()
    if plan.clerk is not None:
        actors.append(_clerk(plan, plan.clerk, events))
    actors += furniture(layout, scripted, _rng(key, 8))
    actors += passers_by(layout, duration_s, _rng(key, 6))
    actors += traffic(layout, scripted, duration_s, plan.camera.lamps and not layout.indoors, _rng(key, 7))
    return Stage(layout, plan.camera, actors, size)
