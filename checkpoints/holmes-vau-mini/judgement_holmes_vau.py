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
_FLAGS = re.IGNORECASE | re.VERBOSE
# An anomaly of any kind, misspelt as it often is; not "Anomalie" or "anomalía": how other languages deny is not known.
_ANOMALY = re.compile(
    r"\b(?: an[ao]m[ao]l (?! i(?!es\b) | í) | abnormal | unusu?al | out\s+of\s+the\s+ordinary\b )", _FLAGS
)
_NOT = r"\b(?: (?:[\w']+\s+)?not | \w+n't | cannot )"
_SEEN = r"(?: detected | present | found | seen | observed | visible )"
# Words that turn a statement round; the name of the group tells how.
_DENIAL = re.compile(
    rf"""
    (?P<idle>         # they deny nothing: "No doubt, a robbery", "not only unusual but violent"
        \b(?:no|without)\s+(?:an?\s+|any\s+)?doubt\b | {_NOT}\s+(?:only|just|merely|(?:be\s+)?den(?:y|ied))\b
    )
  | (?P<hedge>        # they leave it open: "I cannot tell whether there is an anomaly"
        {_NOT}\s+ (?: (?:\w+\s+){{1,3}}?(?:whether|if) | (?:\w+\s+)?(?:know|tell|sure|certain) )\b
      | \b(?: unclear | unsure | uncertain | (?:hard|difficult|impossible)\s+to\s+(?:tell|say) )\b
      | \b(?:may|might)\s+(?:or\s+may\s+)?not\b
    )
  | (?P<either_side>  # in front of what is stated or right behind it: "Anomalies are not seen"
        \b(?:is|are|was|were|do|does|did|can|could)\s+not\b
      | \b(?:is|are|was|were|do|does|did|ca|could)n'?t\b
      | \b(?:has|have)(?:\s+not|n'?t)\s+been\b | \bnever\s+{_SEEN}\b
      | \b(?: cannot | none | nothing | absent | non-?existent | no(?=\W*$) )\b
    )
  | (?P<in_front>     # in front alone: not "a robbery that should not happen", "a robbery with no victims"
        \b(?: no | without | zero | never | neither | nor | nobody | hardly | scarcely | absence | lack(?:s|ing)? )\b
      | \b(?:free|devoid)\s+(?:of|from)\b | \bunable\s+to\s+(?:see|find|detect)\b
      | (?: \b(?:am|has|have|had|will|would|should) | '(?:s|m|re|ve|d|ll) )\s+not\b | \wn't\b
    )
    """,
    _FLAGS,
)
# Between a denial and what is stated behind it: the denial is of something else ("Nobody saw how, but a car crashed").
_TURN = re.compile(
    r"""[;:] | \b(?:but|yet|however|although|though|when|while|until|before|after|because|since)\b
      | \band\s+(?:an?|the|then|some|one|two)\b""",
    _FLAGS,
)
# Between what is stated and a denial behind it: likewise ("A robbery takes place and the clerk does not move").
_STANDS = re.compile(
    r"""[;:] | ,\s*\S | \b(?:that|which|who|whose|because|since|as|while|when|and|but)\b
      | \b(?:exists?|occurs?|happens?|takes?\s+place|breaks?\s+out)\b""",
    _FLAGS,
)
# Of two denials with nothing of this between them the second denies the first: "The video is not free of anomalies."
_APART = re.compile(r"[,;:.]|\b(?:and|or|nor|but)\b", re.IGNORECASE)
# An answer of its own behind a colon: not "An anomaly exists: no driver stops".
_ANSWER_NO = re.compile(
    rf"""
    \W* (?:no|none|not|nothing|false)\b
    (?: [^\S\n]* (?: $ | \n | [^\w\s-] )    # "Anomaly detected: No"
      | \s+-                                 # "Anomaly: No - people walk by"
      | \s+ (?:\w+\s+){{0,2}} (?: anomal | abnormal | unusual | {_SEEN} )  # "Anomalies: none detected"
    )
    """,
    _FLAGS,
)
# A denial that names nothing, since the question did: not "A man does not stop".
_BARE_NO = re.compile(
    r"""
    \W*(?:no|nope|none|nothing)\b            # "No, people walk by"
  | \W*(?:i|we|there|it)\b .* (?: none | nothing | (?:not|n't|cannot) (?:(?:\s+\w+){0,2}\s+(?:one|any|so|such))? ) \W*$
    """,
    _FLAGS,
)
# Questions whose answers tell whether there is an anomaly: those of one, and those of what happens at all.
_ASKS = re.compile(
    r"\b(?:anomal|abnormal|unusual|suspicious|happen|occur|going\s+on|tak(?:es?|ing)\s+place|describ|descripti|summar"
    r"|captions?\b|overview|explanation|explain|events?\b|activit|actions?\b|moments?\b|content)",
    re.IGNORECASE,
)
# What an answer says of a video as a whole, in whichever of its sentences.
_SUSPICION = re.compile(rf"{_ANOMALY.pattern} | \b suspicious", _FLAGS)
_YES = re.compile(r"\W*yes\b[\s,.!:;-]*", re.IGNORECASE)
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

    The first sentence decides. Words decide, not understanding:

    | the first sentence | verdict | why |
    |---|---|---|
    | An anomaly exists, specifically a Robbery anomaly. | abnormal | it is stated |
    | There is no anomaly event (Robbery) in the video. | normal | a denial in front; a denial names no class |
    | Anomalies are not visible. | normal | one right behind |
    | Anomaly detected: No | normal | one behind a colon, as the answer |
    | A robbery with no victims. | abnormal | something else is denied |
    | No doubt, a robbery takes place. | abnormal | nothing is denied |
    | A robbery takes place and the clerk does not move. | none | of what the denial is cannot be told |
    | I cannot tell whether there is an anomaly. | none | it is left open |
    | The video is not free of anomalies. | none | one denial of another |
    | A dog crosses the street. | none | nothing is stated |

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
    sentence = first_sentence(_plain(text))
    # What follows "where" or "as" tells of the scene, not of the verdict.
    verdict = re.split(r",?\s+(?:where|suggesting|depicting)\b|,\s+as\b", sentence, maxsplit=1)[0]
    head, _, tail = verdict.partition(":")  # "An anomaly exists: a man leaves without paying" denies nothing
    if _ANSWER_NO.match(tail):
        return Judgement(False)
    abnormal = _reading(head if _ANOMALY.search(head) else verdict, affirmed, (_ANOMALY, _SPELLING))
    if not abnormal:
        return Judgement(abnormal)
    spellings = tuple(dict.fromkeys(match[0] for match in _SPELLING.finditer(verdict)))
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
    names_anomalies = _ANOMALY.search(question) is not None
    answer = _plain(answer)
    yes = _YES.match(answer)
    rest = answer[yes.end() :] if yes else answer
    abnormal = parse_judgement(rest, affirmed=yes is not None).abnormal
    if abnormal is None and yes and names_anomalies:
        abnormal = True
    first = first_sentence(rest)
    if abnormal is False and not names_anomalies and not (_ANOMALY.search(first) or _SPELLING.search(first)):
        abnormal = None  # "Nothing happens" denies no anomaly
    for sentence in (match[0] for match in _SENTENCE.finditer(f"{answer}.")):
        if abnormal is None and _SUSPICION.search(sentence):
            abnormal = _reading(sentence, False, (_SUSPICION,))
    return None if abnormal is None else "abnormal" if abnormal else "normal"


def compare_verdicts(events: list[dict[str, float]] | None, prompt: str, answer: str) -> dict[str, str | bool | None]:
    """What the scorer and the answer in words say of a video, and whether they agree; `events` is `None` of a video
    that was not scored.

    Example:

    ```python
    >>> compare_verdicts([], "What happens here?", "A brawl breaks out.")
    {'scores': 'normal', 'answer': 'abnormal', 'agree': False}

    ```
    """
    by_scores = None if events is None else "abnormal" if events else "normal"
    by_words = verdict_in_words(prompt, answer)
    agree = None if by_scores is None or by_words is None else by_scores == by_words
    return {"scores": by_scores, "answer": by_words, "agree": agree}


def describe_verdict(verdict: dict[str, str | bool | None]) -> str:
    """The result of [`compare_verdicts`] in words."""
    if verdict["scores"] is None:
        said = f"{verdict['answer']} by the answer" if verdict["answer"] else "no verdict is read from the answer"
        return f"{said}; nothing was scored"
    if verdict["answer"] is None:
        return f"{verdict['scores']} by the scores; no verdict is read from the answer"
    if verdict["agree"]:
        return f"{verdict['scores']} by scores and answer"
    return f"the scores say {verdict['scores']}, the answer {verdict['answer']}: they contradict each other"


def _plain(text: str) -> str:
    return text.replace("’", "'")


def _reading(words: str, affirmed: bool, patterns: tuple[re.Pattern, ...]) -> bool | None:
    """Whether words state (`True`) or deny (`False`) what the patterns find; `None` where neither can be told."""
    stated = sorted((match for pattern in patterns for match in pattern.finditer(words)), key=re.Match.start)
    denials = [match for match in _DENIAL.finditer(words) if match.lastgroup != "idle"]
    hedged = any(match.lastgroup == "hedge" for match in denials)
    if not stated:
        return False if _BARE_NO.match(words) and not hedged else None
    front = [] if affirmed else [denial for denial in denials if denial.end() <= stated[0].start()]
    behind = [denial for denial in denials if denial not in front]
    readings = [_reading_in_front(words, front, stated[0])] if front else []
    readings += [_reading_behind(words, denial, stated, affirmed) for denial in behind]
    return False if False in readings else None if None in readings else True


def _reading_in_front(words: str, denials: list[re.Match], stated: re.Match) -> bool | None:
    """What denials in front of the first statement make of it."""
    if any(denial.lastgroup == "hedge" for denial in denials):
        return None
    if any(not _APART.search(words, one.end(), other.end()) for one, other in zip(denials, denials[1:])):
        return None
    return None if _TURN.search(words, denials[-1].end(), stated.start()) else False


def _reading_behind(words: str, denial: re.Match, stated: list[re.Match], affirmed: bool) -> bool | None:
    """What a denial behind the first statement, or behind a "Yes", makes of it."""
    before = [match for match in stated if match.end() <= denial.start()]
    after = [match for match in stated if match.start() >= denial.end()]
    if after and re.fullmatch(r"(?:\s+\w+){0,3}\s*", words[denial.end() : after[0].start()]):
        if (affirmed and not before) or _ANOMALY.match(after[0][0]):
            return None if denial.lastgroup == "hedge" else False  # "Yes, there is no anomaly"
    if before and not _STANDS.search(words, before[-1].end(), denial.start()):
        return {"either_side": False, "hedge": None, "in_front": True}[denial.lastgroup]
    return None if denial.lastgroup == "either_side" else True
