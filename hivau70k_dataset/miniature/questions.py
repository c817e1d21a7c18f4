"""General questions about miniature videos, with answers that are exact: they follow from what was drawn where.

They are about single moments (a few frames, in which the answer stays the same), about the clips, and about whole
videos. The same truth is asked for in several wordings. To learn from there are also captions: of moments, and of what
people do, each time cut a little otherwise and told in other words.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ..general import GeneralQuestion
from ..instructions import prompt_pools
from ..regions import Region, VideoRegions
from ..schema import SYNTHETIC_SOURCE
from .asking import ACTS_ASKED, NUMBERS, PEOPLE, PLACES_ASKED, QUESTIONS, ROLES_ASKED
from .figures import COATS, Look
from .plan import VideoPlan, build_stage
from .sight import DOING, HIDDEN, VISIBLE, Seen, look_at
from .text import caption, draw, pick
from .things import PAINTS


STEP = 8  # frames between two that are looked at: the stride of the small models
MOMENTS = {"train": 16, "test": 4}  # of each video
ASKED_AT_ONCE = {"train": 4, "test": 2}  # questions about a moment, one of them about the place
ROUNDS, TOLD_AGAIN = 2, 2  # how often all phases are told again, and how often each in a row
CUT_OFF = 0.15  # most of a phase that is cut off at an end
OF_THE_PLACE = ("place", "light", "indoors", "vehicle")
Moment = list[Seen]


@dataclass(frozen=True)
class Answer:
    """What is right, and what else might be answered."""

    key: str
    options: tuple[str, ...]
    text: str
    slots: dict[str, str] | None = None  # of the question


@dataclass(frozen=True)
class Sight:
    """What shows in a video: the truth behind regions and general questions."""

    regions: VideoRegions
    questions: list[GeneralQuestion]


def see(plan: VideoPlan, size: int) -> Sight:
    """Look at every few frames of a planned video drawn at `size` pixels; the same whenever it is asked for."""
    stage = build_stage(plan, size)
    numbers = range(0, plan.n_frames, STEP // 2)
    looks = {number: look_at(stage, number / plan.fps) for number in numbers}
    path = f"{SYNTHETIC_SOURCE}/videos/{plan.split}/{plan.name}.mp4"
    frames = {number: tuple(map(_region, looks[number])) for number in numbers if number % STEP == 0}
    rng = np.random.default_rng([*plan.seed, 12])
    parts = {
        "moment": _about_moments(plan, looks, rng),
        "clip": _about_clips(plan, rng),
        "video": _about_video(plan, rng),
    }
    asked = [(level, *row) for level, found in parts.items() for row in found]
    rows = [
        GeneralQuestion(
            f"{plan.name}_{place:03d}",
            level,
            path,
            *span_s,
            kind,
            _question(kind, answer, rng),
            answer.text,
            answer.key,
            answer.options,
        )
        for place, (level, kind, span_s, answer) in enumerate(asked)
    ]
    return Sight(VideoRegions(path, frames), [*rows, *told_again(plan, path, len(rows))])


def _region(seen: Seen) -> Region:
    left, top, right, bottom = (round(edge, 3) for edge in seen.box)
    return Region((left, top, right, bottom), seen.labels if seen.share >= VISIBLE else ())


def _question(kind: str, answer: Answer, rng: np.random.Generator) -> str:
    text = draw(pick(QUESTIONS[kind], rng), rng)
    for name, value in (answer.slots or {}).items():
        text = text.replace(f"{{{name}}}", value)
    return text


# ---- moments --------------------------------------------------------------------------------------------------------

Asked = tuple[str, tuple[float, float], Answer]


def _about_moments(plan: VideoPlan, looks: dict[int, Moment], rng: np.random.Generator) -> Iterator[Asked]:
    """Half of the moments are drawn from within acts, the others from anywhere."""
    starts = np.arange(0, plan.n_frames - STEP, STEP)
    inside = [s for s in starts if any(p.start_s <= s / plan.fps < p.end_s for act in plan.acts for p in act.phases)]
    count = MOMENTS[plan.split]
    chosen = {int(s) for s in rng.permutation(inside)[: count // 2]}
    chosen |= {int(s) for s in rng.permutation([s for s in starts if s not in chosen])[: count - len(chosen)]}
    for start in sorted(chosen):
        span_s = (_time(start / plan.fps), _time((start + STEP) / plan.fps))
        moment = [looks[number] for number in (start, start + STEP // 2, start + STEP)]
        possible = {kind: answer for kind, find in FINDERS.items() if (answer := _steady(find, plan, moment, rng))}
        kinds = [str(kind) for kind in rng.permutation(sorted(possible))]
        easy = [kind for kind in kinds if kind in OF_THE_PLACE]
        hard = [kind for kind in kinds if kind not in OF_THE_PLACE][: ASKED_AT_ONCE[plan.split] - 1]
        yield from ((kind, span_s, possible[kind]) for kind in map(str, rng.permutation([*easy[:1], *hard])))
        if plan.split == "train":
            yield "picture", span_s, Answer("", (), describe(plan, moment[1]))


def _steady(
    find: Callable[[VideoPlan, Moment, int], Answer | None],
    plan: VideoPlan,
    moment: list[Moment],
    rng: np.random.Generator,
) -> Answer | None:
    """The answer, if it is the same in all looks; which person or thing is asked about is drawn once."""
    choice = int(rng.integers(2**16))
    answers = [find(plan, look, choice) for look in moment]
    return answers[0] if all(answer == answers[0] for answer in answers) else None


def _people(look: Moment) -> list[Seen]:
    return [seen for seen in look if seen.look]


def _unsure(things: list[Seen]) -> bool:
    return any(HIDDEN <= thing.share < VISIBLE for thing in things)


def _count(plan: VideoPlan, look: Moment, choice: int) -> Answer | None:
    people = _people(look)
    if _unsure(people):
        return None
    number = min(sum(one.share >= VISIBLE for one in people), len(NUMBERS) - 1)
    noun = {0: "", 1: " person"}.get(number, " people")
    return Answer(NUMBERS[number], NUMBERS, f"{NUMBERS[number].capitalize()}{noun}.")


def _place(plan: VideoPlan, look: Moment, choice: int) -> Answer:
    place = PLACES_ASKED[plan.layout.kind]
    return Answer(place, tuple(PLACES_ASKED.values()), f"A {place}.")


def _light(plan: VideoPlan, look: Moment, choice: int) -> Answer | None:
    if plan.layout.indoors:
        return None
    return (
        Answer("night", ("day", "night"), "At night.")
        if plan.camera.lamps
        else Answer("day", ("day", "night"), "By day.")
    )


def _indoors(plan: VideoPlan, look: Moment, choice: int) -> Answer:
    key = "indoors" if plan.layout.indoors else "outdoors"
    return Answer(key, ("indoors", "outdoors"), f"{key.capitalize()}.")


def _vehicle(plan: VideoPlan, look: Moment, choice: int) -> Answer | None:
    vehicles = [seen for seen in look if seen.vehicle]
    if not vehicles:
        return Answer("no", ("yes", "no"), "No.")
    return Answer("yes", ("yes", "no"), "Yes.") if max(one.share for one in vehicles) >= VISIBLE else None


def _vehicle_colour(plan: VideoPlan, look: Moment, choice: int) -> Answer | None:
    vehicles = [seen for seen in look if seen.vehicle]
    if len(vehicles) != 1 or vehicles[0].share < VISIBLE or vehicles[0].colour not in PAINTS:
        return None
    colour = vehicles[0].colour
    return Answer(colour, tuple(PAINTS), f"{colour.capitalize()}.", {"vehicle": vehicles[0].vehicle})


def _told_by_colour(look: Moment, choice: int) -> Seen | None:
    """A person whom the colour of the coat tells from all others."""
    people = [one for one in _people(look) if one.look.dressed]
    coats = [one.look.coat for one in people]
    alone = [one for one in people if coats.count(one.look.coat) == 1 and one.share >= VISIBLE]
    return min(alone, key=lambda one: (COATS.index(one.look.coat) + choice) % len(COATS), default=None)


def _action(plan: VideoPlan, look: Moment, choice: int) -> Answer | None:
    if (one := _told_by_colour(look, choice)) is None:
        return None
    options = tuple(dict.fromkeys(DOING.values()))
    return Answer(one.doing, options, f"{one.doing.capitalize()}.", {"colour": one.look.coat})


def _who_wears(plan: VideoPlan, look: Moment, choice: int) -> Answer | None:
    if (one := _told_by_colour(look, choice)) is None:
        return None
    return _who(one.look, {"colour": one.look.coat})


def _top_colour(plan: VideoPlan, look: Moment, choice: int) -> Answer | None:
    """Of a person whom what is done tells from all others."""
    people = _people(look)
    doings = [one.doing for one in people]
    alone = [one for one in people if doings.count(one.doing) == 1 and one.share >= VISIBLE and one.look.dressed]
    if not alone or _unsure(people):
        return None
    one = alone[choice % len(alone)]
    return _colour(one.look, {"role": f"is {one.doing}"})


def _who(look: Look, slots: dict[str, str]) -> Answer:
    return Answer(look.noun, PEOPLE, f"A {look.noun}.", slots)


def _colour(look: Look, slots: dict[str, str]) -> Answer:
    return Answer(look.coat, COATS, f"{look.coat.capitalize()}.", slots)


FINDERS: dict[str, Callable[[VideoPlan, Moment, int], Answer | None]] = {
    "count": _count,
    "place": _place,
    "light": _light,
    "indoors": _indoors,
    "vehicle": _vehicle,
    "vehicle colour": _vehicle_colour,
    "action": _action,
    "who wears": _who_wears,
    "top colour": _top_colour,
}


def describe(plan: VideoPlan, look: Moment) -> str:
    """A short exact caption of a still frame: people from left to right, vehicles, the place."""
    people = [one for one in _people(look) if one.share >= VISIBLE]
    said = [_phrase(one) for one in people[:4]]
    if len(people) > 4:
        said.append("others")
    vehicles = [f"a {one.colour} {one.vehicle}" for one in look if one.vehicle and one.share >= VISIBLE]
    said += list(dict.fromkeys(vehicles))[:2]
    when = "" if plan.layout.indoors else " at night" if plan.camera.lamps else " by day"
    text = f"{', '.join(said) or 'nobody'} in a {plan.layout.kind}{when}."
    return text[:1].upper() + text[1:]


def _phrase(one: Seen) -> str:
    clothes = f" in {one.look.coat}" if one.look.dressed else ""
    return f"a {one.look.noun}{clothes} {one.doing}"


# ---- clips and videos -----------------------------------------------------------------------------------------------


def _about_clips(plan: VideoPlan, rng: np.random.Generator) -> Iterator[Asked]:
    """Who does it and in which colour, of phases in which one person does what no other does."""
    for act in plan.acts:
        for phase in act.phases:
            span_s = (_time(phase.start_s), _time(phase.end_s))
            roles = [(who, role) for who, role in ROLES_ASKED.get(phase.fact, {}).items() if who in phase.slots]
            for who, role in [roles[int(rng.integers(len(roles)))]] if roles and plan.split == "test" else roles:
                look, kinds = phase.slots[who], ["who"]
                if not isinstance(look, Look):
                    continue
                if look.dressed:
                    kinds.append("top colour")
                for kind in kinds if plan.split == "train" else [str(rng.choice(kinds))]:
                    answer = (_who if kind == "who" else _colour)(look, {"role": role})
                    yield kind, span_s, answer


def _about_video(plan: VideoPlan, rng: np.random.Generator) -> Iterator[Asked]:
    """Place and light of the whole video, and which of two acts comes first."""
    whole_s = (0.0, _time(plan.duration_s))
    for kind in ("place", "light", "indoors"):
        if (answer := FINDERS[kind](plan, [], 0)) is not None and (plan.split == "train" or rng.random() < 0.3):
            yield kind, whole_s, answer
    acts = {act.label or act.kind: act for act in plan.acts}  # of two of a kind neither comes first
    if len(acts) < 2 or len(acts) != len(plan.acts):
        return
    first, second = (ACTS_ASKED[name] for name in list(acts)[:2])
    one, other = (first, second) if rng.random() < 0.5 else (second, first)
    yield (
        "order",
        whole_s,
        Answer(first, (one, other), f"{first[:1].upper()}{first[1:]}.", {"one": one, "other": other}),
    )


# ---- cuts -----------------------------------------------------------------------------------------------------------


def told_again(plan: VideoPlan, path: str, first: int = 0) -> Iterator[GeneralQuestion]:
    """
    Captions of all phases of acts in a train video, in other words than the annotations', each of a cut of its own.

    What a clip shows, and which colours, is told by many ways to word it and by frames that differ a little; one
    caption of one cut can be learned by heart.

    Args:
        plan (`VideoPlan`): What the video shows.
        path (`str`): Of the video, in the layout of the release.
        first (`int`, *optional*, defaults to 0): The number of the first row.
    """
    if plan.split != "train":
        return
    prompts = prompt_pools()["caption"]
    phases = [phase for act in plan.acts for phase in act.phases for _ in range(TOLD_AGAIN)]
    for number in range(ROUNDS * len(phases)):
        turn, place = divmod(number, len(phases))
        if place == 0:
            rng = np.random.default_rng([*plan.seed, 13 + turn])  # fewer rounds are the first of more
        phase = phases[place]
        length_s = phase.end_s - phase.start_s
        start_s, end_s = (
            phase.start_s + rng.uniform(0, CUT_OFF) * length_s,
            phase.end_s - rng.uniform(0, CUT_OFF) * length_s,
        )
        span_s = (_time(start_s), _time(end_s))
        yield GeneralQuestion(
            f"{plan.name}_{first + number:03d}",
            "cut",
            path,
            *span_s,
            "caption",
            pick(prompts, rng),
            caption(phase, rng),
        )


def _time(time_s: float) -> float:
    """To the millisecond; rounded down, so that no time lies past the end of the video."""
    return int(time_s * 1000) / 1000
