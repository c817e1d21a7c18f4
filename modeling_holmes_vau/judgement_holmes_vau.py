"""What an answer in words states: whether there is an anomaly, and of which of the benchmark's classes.

UCF-Crime names 13 classes, XD-Violence 6, which share all but Riot. The released judgements were written by a language
model and spell the classes freely ("Car Accident", "Theft or Vehicle Break-in"); the map below gives each spelling its
class.
"""

import re
from dataclasses import dataclass


CLASSES = (
    "Abuse",
    "Arrest",
    "Arson",
    "Assault",
    "Burglary",
    "Explosion",
    "Fighting",
    "Riot",
    "RoadAccidents",
    "Robbery",
    "Shooting",
    "Shoplifting",
    "Stealing",
    "Vandalism",
)

# Other words for a class, in lower case, one space between words; a plural "s" is understood.
SYNONYMS = {
    "Abuse": ("physical abuse", "domestic abuse", "animal abuse", "child abuse", "police brutality", "distress/pain"),
    "Arrest": ("arresting",),
    "Arson": ("arson attack", "fire setting"),
    "Assault": ("assaulting", "physical assault"),
    "Burglary": ("burglaries", "break-in", "breaking and entering"),
    "Explosion": ("exploding",),
    "Fighting": ("fight", "brawl", "violence", "physical altercation", "violent altercation", "altercation"),
    "Riot": ("rioting", "civil unrest"),
    "RoadAccidents": (
        "roadaccident",
        "road accident",
        "car accident",
        "traffic accident",
        "vehicle accident",
        "vehicle collision",
        "car crash",
        "accident",
    ),
    "Robbery": ("robberies", "robbing", "carjacking"),
    "Shooting": ("gun shooting", "toy gun shooting", "gunfire"),
    "Shoplifting": ("shoplift",),
    "Stealing": ("theft", "pickpocketing", "vehicle break-in", "car break-in"),
    "Vandalism": ("vandalizing", "vandalising", "property damage"),
}

# Two names the annotators' model wrote as one.
COMPOUNDS = {
    "theft/stealing": "Stealing",
    "theft or vehicle break-in": "Stealing",
    "fighting/brawl": "Fighting",
    "fighting/violence": "Fighting",
    "fighting or physical altercation": "Fighting",
    "physical altercation/violence": "Fighting",
    "physical abuse/violence": "Abuse",
    "car accident or vehicle collision": "RoadAccidents",
    "car accidents or vehicle collision": "RoadAccidents",
}

CLASS_OF_SPELLING = {
    **{name.lower(): name for name in CLASSES},
    **{synonym: name for name, synonyms in SYNONYMS.items() for synonym in synonyms},
    **COMPOUNDS,
}
_SPELLING = re.compile(
    r"(?<![\w-])(?:"
    + "|".join(re.escape(words).replace(r"\ ", r"\s+") for words in sorted(CLASS_OF_SPELLING, key=len, reverse=True))
    + r")s?(?![\w-])",
    re.IGNORECASE,
)
# "no doubt" and "not only" deny nothing; typographic apostrophes are common.
_NO = r"\b(?:no|without)\b(?!\s+(?:an?\s+|any\s+)?doubt\b)|\b(?:none|nothing|nor|cannot|absen(?:ce|t)|non-?existent)\b"
_ALONE = r"\b(?!\s+(?:only|just|merely)\b)"
_SEEN = r"(?:detected|present|found|seen|observed|visible)"
# In front of what is stated, anything denies it.
_NEGATION = re.compile(
    rf"{_NO}|\b(?:never|neither|lack(?:s|ing)?|(?:free|devoid)\s+of)\b"
    r"|(?:\b(?:is|are|am|was|were|do|does|did|has|have|had|can|could|will|would|should|may|might)\s+not"
    rf"|['’](?:s|m|re|ve|d|ll)\s+not|\wn['’]t){_ALONE}",
    re.IGNORECASE,
)
# Behind it, "a robbery that should not happen, of a man who has not paid" does not.
_NEGATION_BEHIND = re.compile(
    rf"{_NO}|\b(?:is|are|was|were|do|does|did|can|could)(?:\s+not|n['’]t){_ALONE}"
    rf"|\b(?:(?:has|have)(?:\s+not|n['’]t)\s+been|never)\s+{_SEEN}\b",
    re.IGNORECASE,
)
# "Anomaly detected: No", "Anomalies: none."; not "An anomaly exists: no driver stops"
_DENIAL_AFTER_COLON = re.compile(
    r"\W*(?:no|none|not|nothing|false)\b"
    rf"(?:[^\S\n]*(?:$|\n|[^\w\s-])|\s+-|\s+(?:\w+\s+){{0,2}}(?:anomal|abnormal|unusual|{_SEEN}))",
    re.IGNORECASE,
)
_AFFIRMATION = re.compile(r"\b(?:anomal|abnormal|unusual)", re.IGNORECASE)
# Questions whose answers tell whether there is an anomaly: those of one, and those of what happens at all.
_ASKS = re.compile(
    r"\b(?:anomal|abnormal|unusual|suspicious|happen|occur|going\s+on|tak(?:es?|ing)\s+place|describ|descripti|summar"
    r"|captions?\b|overview|explanation|explain|events?\b|activit|actions?\b|moments?\b|content)",
    re.IGNORECASE,
)
# What an answer says of a video as a whole, in whichever of its sentences.
_STATED = re.compile(r"\b(?:anomal|abnormal|unusual|suspicious|out\s+of\s+the\s+ordinary)", re.IGNORECASE)
_YES = re.compile(r"\W*yes\b[\s,.!:;-]*", re.IGNORECASE)
_NONE = re.compile(r"\W*(?:no|none|nothing|not)\b", re.IGNORECASE)
_SENTENCE = re.compile(r".*?[.!?](?=\s|$)", re.DOTALL)


@dataclass(frozen=True)
class Judgement:
    """What a judgement states.

    Args:
        abnormal (`bool`, *optional*): Whether it says that there is an anomaly; `None` where it says neither.
        spellings (`tuple[str, ...]`): The class names as written, in order, each once.
        classes (`tuple[str, ...]`): The classes they stand for, in order, each once; empty in a denial.
    """

    abnormal: bool | None
    spellings: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()


def canonical_class(spelling: str) -> str | None:
    """The benchmark's name of a class however it is spelt; `None` when it is not known.

    Example:

    >>> from modeling_holmes_vau.judgement_holmes_vau import canonical_class
    >>> canonical_class("Car Accidents"), canonical_class("theft"), canonical_class("Jaywalking")
    ('RoadAccidents', 'Stealing', None)
    """
    words = " ".join(spelling.lower().split())
    return CLASS_OF_SPELLING.get(words) or CLASS_OF_SPELLING.get(words.removesuffix("s"))


def first_sentence(text: str) -> str:
    """A text up to the first full stop, question or exclamation mark."""
    text = text.strip()
    return first[0] if (first := _SENTENCE.match(text)) else text


def parse_judgement(text: str, affirmed: bool = False) -> Judgement:
    """Read verdict and classes out of a judgement in words.

    The first sentence decides. A denial names no class even where it mentions one ("No anomaly (Shooting) exists").
    What follows a colon denies nothing unless it is itself the answer ("Anomaly detected: No").

    Args:
        text (`str`): For example the answer to "Are there any anomaly events detected in the video?".
        affirmed (`bool`, *optional*, defaults to `False`): Whether a "Yes" stood in front of it.

    Returns:
        `Judgement`: Verdict, spellings, classes.

    Example:

    >>> from modeling_holmes_vau.judgement_holmes_vau import parse_judgement
    >>> parse_judgement("An anomaly exists, specifically a Shooting and Car Accident anomaly.")
    Judgement(abnormal=True, spellings=('Shooting', 'Car Accident'), classes=('Shooting', 'RoadAccidents'))
    >>> parse_judgement("There is no anomaly event (Shooting) in the video.").abnormal
    False
    """
    sentence = first_sentence(text)
    # What follows "where" or "as" tells of the scene, not of the verdict.
    verdict = re.split(r",?\s+(?:where|suggesting|depicting)\b|,\s+as\b", sentence, maxsplit=1)[0]
    head, _, tail = verdict.partition(":")  # "An anomaly exists: a man leaves without paying" denies nothing
    if _denies(head if _AFFIRMATION.search(head) else verdict, affirmed) or _DENIAL_AFTER_COLON.match(tail):
        return Judgement(False)
    spellings = tuple(dict.fromkeys(match[0] for match in _SPELLING.finditer(verdict)))
    if not spellings and not _AFFIRMATION.search(verdict):
        return Judgement(None)
    classes = tuple(dict.fromkeys(name for spelling in spellings if (name := canonical_class(spelling))))
    return Judgement(True, spellings, classes)


def verdict_in_words(question: str, answer: str) -> str | None:
    """
    What an answer says of a video: `"abnormal"`, `"normal"`, or `None` where it says neither, or where the question
    asks for something else.

    The first sentence is read as a judgement; where it states none, the first that speaks of anything anomalous or
    suspicious. A "Yes" or "No" counts where the question names anomalies; a denial counts where it denies one.

    Example:

    ```python
    >>> verdict_in_words("What happens here?", "There are no unusual events in the video.")
    'normal'
    >>> verdict_in_words("What happens here?", "Two people talk. There is nothing suspicious.")
    'normal'
    >>> verdict_in_words("What happens here?", "A brawl breaks out."), verdict_in_words("What colour is it?", "Red.")
    ('abnormal', None)

    ```
    """
    if not _ASKS.search(question):
        return None
    names_anomalies = _AFFIRMATION.search(question) is not None
    yes = _YES.match(answer)
    rest = answer[yes.end() :] if yes else answer
    abnormal = parse_judgement(rest, affirmed=yes is not None).abnormal
    if abnormal is None and yes and names_anomalies:
        abnormal = True
    first = first_sentence(rest)
    if abnormal is False and not (_AFFIRMATION.search(first) or _SPELLING.search(first)):
        abnormal = False if names_anomalies and _NONE.match(rest) else None  # "A man does not stop" denies no anomaly
    for sentence in (match[0] for match in _SENTENCE.finditer(f"{answer}.")):
        if abnormal is None and (stated := _STATED.search(sentence)):
            before = any(match.start() < stated.start() for match in _NEGATION.finditer(sentence))
            abnormal = not (before or _NEGATION_BEHIND.search(sentence, stated.end()))
    return None if abnormal is None else "abnormal" if abnormal else "normal"


def compare_verdicts(events: list[dict[str, float]], prompt: str, answer: str) -> dict[str, str | bool | None]:
    """What the scorer and the answer in words say of a video, and whether they agree.

    Example:

    ```python
    >>> compare_verdicts([], "What happens here?", "A brawl breaks out.")
    {'scores': 'normal', 'answer': 'abnormal', 'agree': False}

    ```
    """
    by_scores = "abnormal" if events else "normal"
    by_words = verdict_in_words(prompt, answer)
    return {"scores": by_scores, "answer": by_words, "agree": None if by_words is None else by_scores == by_words}


def describe_verdict(verdict: dict[str, str | bool | None]) -> str:
    """The result of [`compare_verdicts`] in words."""
    if verdict["answer"] is None:
        return f"{verdict['scores']} by the scores; no verdict is read from the answer"
    if verdict["agree"]:
        return f"{verdict['scores']} by scores and answer"
    return f"the scores say {verdict['scores']}, the answer {verdict['answer']}: they contradict each other"


def _denies(words: str, affirmed: bool) -> bool:
    """Whether a verdict denies the first anomaly or class that it states; after "Yes" all of it stands behind that."""
    starts = [match.start() for match in (_AFFIRMATION.search(words), _SPELLING.search(words)) if match]
    stated = 0 if affirmed else min(starts, default=len(words))
    return any(match.start() < stated for match in _NEGATION.finditer(words)) or any(
        match.start() >= stated for match in _NEGATION_BEHIND.finditer(words)
    )
