"""From what happened to words: captions, judgements, descriptions and analyses of a planned video.

The same truth can be worded again and again: every draw of `rng` gives another text that says the same.
"""

import re

import numpy as np

from ..schema import SYNTHETIC_SOURCE, Clip, Event, SummaryParts, VideoAnnotation
from .captions import CAPTIONS
from .figures import Look
from .plan import VideoPlan
from .script import Act, Phase
from .words import (
    BASES,
    BEGUN,
    CLOSINGS,
    DENIALS,
    GISTS,
    JUDGEMENTS,
    OPENINGS,
    PLACES,
    ROLES,
    STEPS,
    UNFINISHED,
)


_CHOICE = re.compile(r"\[([^\[\]]*)\]")  # an innermost [x|y|z]
_ARTICLE = re.compile(r"\b([Aa]) (?=[aeiou])", re.IGNORECASE)
_CLASS_ARTICLE = re.compile(r"\ba (?=Ar|Ex)")


def draw(template: str, rng: np.random.Generator) -> str:
    """Choose among the alternatives in brackets, innermost first."""
    while (match := _CHOICE.search(template)) is not None:
        options = match[1].split("|")
        template = template[: match.start()] + options[int(rng.integers(len(options)))] + template[match.end() :]
    return template


def pick(options: tuple[str, ...], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]


def describe_person(look: Look, rng: np.random.Generator) -> str:
    """Somebody seen for the first time: "a hooded person in a red jacket"."""
    if look.who == "worker":
        return draw("a worker in [a hi-vis vest|an orange vest]", rng)
    if look.who == "officer":
        return draw("a [police officer|policeman]", rng)
    clothes = f"a {look.coat} [jacket|coat|top]" if rng.random() < 0.6 else look.coat
    return draw(f"a {look.noun} [in|in|wearing] {clothes}", rng)


def _slots(phase: Phase, rng: np.random.Generator, known: set[Look] | None = None) -> dict[str, str]:
    """The words for who, what and where. People among the `known` come back as "the man in red"; others are added."""
    words: dict[str, str] = {}
    for name, value in phase.slots.items():
        if isinstance(value, Look):
            words[f"{name}."] = f"the {value.noun} in {value.coat}" if value.dressed else f"the {value.noun}"
            words[name] = words[f"{name}."] if known and value in known else describe_person(value, rng)
        elif name == "place":
            words[name] = draw(PLACES[value], rng)
        elif name == "n":
            words[name] = draw(ROLES[value], rng)
        elif name == "bag":
            words[name] = f"{value} bag"
        else:
            words[name] = value
    if known is not None:
        known.update(value for value in phase.slots.values() if isinstance(value, Look))
    return words


def _fill(template: str, words: dict[str, str]) -> str:
    """Put the words in, `a` before a vowel made `an`, the first letter a capital, each space once."""
    text = re.sub(r"\{([a-z.]+)\}", lambda match: words[match[1]], template)
    text = _ARTICLE.sub(r"\1n ", " ".join(text.split()))
    return text[:1].upper() + text[1:]


def caption(phase: Phase, rng: np.random.Generator, known: set[Look] | None = None) -> str:
    """One sentence on what is seen in a phase; `known`: who has been named before, see [`_slots`]."""
    return _fill(draw(pick(CAPTIONS[phase.fact], rng), rng), _slots(phase, rng, known))


def judgement(labels: tuple[str, ...], rng: np.random.Generator) -> str:
    """Whether there is an anomaly, and which classes."""
    if not labels:
        return draw(pick(DENIALS, rng), rng)
    classes = " and ".join([", ".join(labels[:-1]), labels[-1]] if len(labels) > 1 else labels)
    text = draw(pick(JUDGEMENTS, rng), rng).replace("{classes}", classes)
    return _CLASS_ARTICLE.sub("an ", text)


def _gist(act: Act, subject: str, rng: np.random.Generator, known: set[Look]) -> str:
    first = act.phases[0]
    return _fill(f"{subject} {draw(pick(GISTS[first.fact], rng), rng)}.", _slots(first, rng, known))


def _whole(act: Act, subject: str, duration_s: float, rng: np.random.Generator, known: set[Look]) -> str:
    """What the act is; of one that the video cuts, what can be seen of it."""
    if not act.is_cut:
        return _gist(act, subject, rng, known)
    late = act.phases[-1].end_s >= duration_s
    cut = draw(pick(UNFINISHED if late else BEGUN, rng), rng).replace("{subject}", subject)
    return f"{cut[:1].upper()}{cut[1:]} {_story(act.phases, rng, known)}"


def _story(phases: list[Phase], rng: np.random.Generator, known: set[Look]) -> str:
    """The phases in order, each in a sentence: "First, ... Then, ... Finally, ..."."""
    sentences = []
    for place, phase in enumerate(phases):
        step = draw(STEPS[0 if place == 0 else 2 if place == len(phases) - 1 else 1], rng)
        said = caption(phase, rng, known)
        sentences.append(f"{step}, {said[:1].lower()}{said[1:]}")
    return " ".join(sentences)


def _everyday(phases: list[Phase], kind: str, rng: np.random.Generator) -> str:
    """The description of a normal stretch."""
    where = draw(PLACES[kind], rng)
    opening = draw(pick(OPENINGS, rng), rng).replace("{where}", where)
    known: set[Look] = set()
    said = dict.fromkeys(caption(phase, rng, known) for phase in phases)
    return " ".join([opening, *said, draw(pick(CLOSINGS, rng), rng)])


def basis(labels: tuple[str, ...], rng: np.random.Generator) -> str:
    """Why it is an anomaly, as the end of a sentence."""
    return ", and ".join(draw(pick(BASES[label], rng), rng) for label in labels)


def _summary(parts: SummaryParts, analysis: str | None) -> str:
    """The three parts as one text, as the benchmark has them."""
    whole = f"{parts.judgement} {parts.description}"
    return f"{whole} The basis for judging this anomaly is {analysis}." if analysis else whole


def _parts(labels: tuple[str, ...], description: str, rng: np.random.Generator) -> tuple[str, SummaryParts]:
    """Summary and its parts."""
    reason = basis(labels, rng) if labels else None
    analysis = f"{reason[:1].upper()}{reason[1:]}." if reason else None
    parts = SummaryParts(judgement(labels, rng), description, analysis)
    return _summary(parts, reason), parts


def _event(plan: VideoPlan, label: str, phases: list[Phase], description: str, rng: np.random.Generator) -> Event:
    clips = tuple(Clip(_time(phase.start_s), _time(phase.end_s), caption(phase, rng)) for phase in phases)
    summary, parts = _parts((label,) if label else (), description, rng)
    return Event(clips[0].start_s, clips[-1].end_s, clips, summary, parts)


def _time(time_s: float) -> float:
    """To the millisecond, as in the release; rounded down, so that no time lies past the end of the video."""
    return int(time_s * 1000) / 1000


def annotate(plan: VideoPlan, draw: int = 0) -> VideoAnnotation:
    """The annotation of a planned video.

    Args:
        plan (`VideoPlan`): What the video shows.
        draw (`int`, *optional*, defaults to 0): Another number words the same truth differently.
    """
    rng = np.random.default_rng([*plan.seed, 9, draw])
    if plan.events:
        events, description = _abnormal(plan, rng)
    else:
        events, description = _normal(plan, rng)
    summary, parts = _parts(plan.labels, description, rng)
    return VideoAnnotation(
        plan.name, SYNTHETIC_SOURCE, plan.split, plan.n_frames, plan.fps, plan.labels, tuple(events), summary, parts
    )


def _abnormal(plan: VideoPlan, rng: np.random.Generator) -> tuple[list[Event], str]:
    events, told = [], []
    for place, act in enumerate(plan.events):
        description = _whole(act, "the anomaly event", plan.duration_s, rng, set())
        events.append(_event(plan, act.label, act.phases, description, rng))
        subject = "the anomaly event" if place == 0 else draw("[another|a further] anomaly event", rng)
        known: set[Look] = set()
        told.append(_whole(act, subject, plan.duration_s, rng, known))
        if len(plan.events) == 1 and not act.is_cut:
            told.append(_story(act.phases, rng, known))
    return events, " ".join(told)


def _normal(plan: VideoPlan, rng: np.random.Generator) -> tuple[list[Event], str]:
    """One or two ordinary stretches: an act, or people and cars that pass."""
    stretches = [list(act.phases) for act in plan.acts] + [[phase] for phase in plan.quiet]
    choice = np.random.default_rng([*plan.seed, 10])  # the same for every wording
    count = min(len(stretches), int(choice.integers(1, 3)))
    chosen = stretches[:1] if count == 1 else [stretches[0], stretches[1 + int(choice.integers(len(stretches) - 1))]]
    chosen.sort(key=lambda phases: phases[0].start_s)
    kind = plan.layout.kind
    events = [_event(plan, "", phases, _everyday(phases, kind, rng), rng) for phases in chosen]
    return events, _everyday([phase for phases in chosen for phase in phases], kind, rng)
