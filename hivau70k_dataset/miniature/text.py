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
    CLOSINGS,
    DENIALS,
    GISTS,
    JUDGEMENTS,
    NOUNS,
    OPENINGS,
    PLACES,
    ROLES,
    STEPS,
)


_CHOICE = re.compile(r"\[([^\[\]]*)\]")  # an innermost [x|y|z]
_ARTICLE = re.compile(r"\b([Aa]) (?=[aeiou])", re.IGNORECASE)
_CLASS_ARTICLE = re.compile(r"\ba (?=Ar|Ex)")


def _draw(template: str, rng: np.random.Generator) -> str:
    """Choose among the alternatives in brackets, innermost first."""
    while (match := _CHOICE.search(template)) is not None:
        options = match[1].split("|")
        template = template[: match.start()] + options[int(rng.integers(len(options)))] + template[match.end() :]
    return template


def _pick(options: tuple[str, ...], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]


def describe_person(look: Look, rng: np.random.Generator) -> str:
    """Somebody seen for the first time: "a hooded man in a red jacket"."""
    noun = NOUNS[look.who]
    if look.who == "worker":
        return _draw("a worker in [a hi-vis vest|an orange vest]", rng)
    if look.who == "officer":
        return _draw("a [police officer|policeman]", rng)
    hat = {"hood": "hooded ", "cap": "", "": ""}[look.hat] if rng.random() < 0.5 else ""
    cap = " and a cap" if look.hat == "cap" and rng.random() < 0.35 else ""
    clothes = f"a {look.coat} [jacket|coat|top]{cap}" if cap or rng.random() < 0.6 else f"{look.coat}"
    return _draw(f"a {hat}{noun} [in|in|wearing] {clothes}", rng)


def _slots(phase: Phase, rng: np.random.Generator) -> dict[str, str]:
    words: dict[str, str] = {}
    for name, value in phase.slots.items():
        if isinstance(value, Look):
            words[name] = describe_person(value, rng)
            words[f"{name}."] = f"the {NOUNS[value.who]} in {value.coat}"
        elif name == "place":
            words[name] = _draw(PLACES[value], rng)
        elif name == "n":
            words[name] = _draw(ROLES[value], rng)
        elif name == "bag":
            words[name] = f"{value} bag"
        else:
            words[name] = value
    return words


def _fill(template: str, words: dict[str, str]) -> str:
    """Put the words in, `a` before a vowel made `an`, the first letter a capital, each space once."""
    text = re.sub(r"\{([a-z.]+)\}", lambda match: words[match[1]], template)
    text = _ARTICLE.sub(r"\1n ", " ".join(text.split()))
    return text[:1].upper() + text[1:]


def caption(phase: Phase, rng: np.random.Generator) -> str:
    """One sentence on what is seen in a phase."""
    return _fill(_draw(_pick(CAPTIONS[phase.fact], rng), rng), _slots(phase, rng))


def judgement(labels: tuple[str, ...], rng: np.random.Generator) -> str:
    """Whether there is an anomaly, and which classes."""
    if not labels:
        return _draw(_pick(DENIALS, rng), rng)
    classes = " and ".join([", ".join(labels[:-1]), labels[-1]] if len(labels) > 1 else labels)
    text = _draw(_pick(JUDGEMENTS, rng), rng).replace("{classes}", classes)
    return _CLASS_ARTICLE.sub("an ", text)


def _gist(act: Act, subject: str, rng: np.random.Generator) -> str:
    first = act.phases[0]
    return _fill(f"{subject} {_draw(_pick(GISTS[first.fact], rng), rng)}.", _slots(first, rng))


def _story(phases: list[Phase], rng: np.random.Generator) -> str:
    """The phases in order, each in a sentence: "First, ... Then, ... Finally, ..."."""
    sentences = []
    for place, phase in enumerate(phases):
        step = _draw(STEPS[0 if place == 0 else 2 if place == len(phases) - 1 else 1], rng)
        said = caption(phase, rng)
        sentences.append(f"{step}, {said[:1].lower()}{said[1:]}")
    return " ".join(sentences)


def _everyday(phases: list[Phase], kind: str, rng: np.random.Generator) -> str:
    """The description of a normal stretch."""
    where = _draw(PLACES[kind], rng)
    opening = _draw(_pick(OPENINGS, rng), rng).replace("{where}", where)
    said = dict.fromkeys(caption(phase, rng) for phase in phases)
    return " ".join([opening, *said, _draw(_pick(CLOSINGS, rng), rng)])


def basis(labels: tuple[str, ...], rng: np.random.Generator) -> str:
    """Why it is an anomaly, as the end of a sentence."""
    return ", and ".join(_draw(_pick(BASES[label], rng), rng) for label in labels)


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
        description = _gist(act, "the anomaly event", rng)
        events.append(_event(plan, act.label, act.phases, description, rng))
        told.append(_gist(act, "the anomaly event" if place == 0 else "[another|a further] anomaly event", rng))
        told[-1] = _draw(told[-1], rng)
        if len(plan.events) == 1:
            told.append(_story(act.phases, rng))
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
