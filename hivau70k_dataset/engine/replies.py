"""A language model's reply in three parts, read as tolerantly as can be done without guessing."""

import json
import re

from modeling_holmes_vau.judgement_holmes_vau import parse_judgement

from ..instructions import split_summary
from ..schema import SUMMARY_TASKS, SummaryParts


# What a server that can be held to a form is asked for.
SCHEMA = {
    "type": "object",
    "properties": {task: {"type": "string", "minLength": 1} for task in SUMMARY_TASKS},
    "required": list(SUMMARY_TASKS),
    "additionalProperties": False,
}
_NAMES = {
    "judgement": (
        "judgement",
        "judgment",
        "anomaly",
        "whether the anomaly exists",
        "existence",
        "name of the anomaly",
    ),
    "description": ("description", "summary", "detailed description", "event", "events"),
    "analysis": ("analysis", "basis", "explanation", "brief explanation", "brief analysis", "reason", "reasoning"),
}
_PART = {name: task for task, names in _NAMES.items() for name in names}
_MARK = r"[ \t]*(?:[#>*_\-•]+[ \t]*)*"  # of Markdown, in front of a heading
# "1.", "1)", "(1)", "**1.**", "### 1:", "Part 1:", at the start of a line or, in running prose, behind a full stop.
_NUMBER = re.compile(
    rf"(?:^{_MARK}|(?<=[.!?:;])\s+)(?:part\s+)?\(?(?P<number>[1-3])(?:\.(?!\d)|\)|:|(?=\*\*))[*_]*\s*",
    re.MULTILINE | re.IGNORECASE,
)
# A heading behind a number or at the start of a line: "**Judgement:**", "Basis for judging -", "## Description\n".
_HEADING = re.compile(
    r"(?:[*_#]+\s*)?(?P<words>[A-Za-z][A-Za-z ,/()'’-]{2,90}?)\s*"
    r"(?:[*_]+\s*:|:\s*[*_]*|[*_]{2,}\s*[:.-]?|\s[-–—]\s)\s*"
)
_FENCE = re.compile(r"```(?:json)?\s*(?P<inside>.*?)```", re.DOTALL | re.IGNORECASE)
_BASIS = re.compile(r"\bbasis\s+(?:for|of)\b", re.IGNORECASE)


def read_reply(text: str, abnormal: bool) -> SummaryParts | None:
    """
    The parts of a reply.

    Read are, in this order: a JSON object, alone or in a fence or in prose; three numbered parts, in plain text or
    Markdown, with headings or without, on lines of their own or in one; headings without numbers; and prose as the
    released summaries are written: a first sentence that judges and, of an abnormal one, a last that says on what
    basis.

    Args:
        text (`str`): What the model said.
        abnormal (`bool`): Whether it was told of abnormal events. The analysis of a normal segment is left out, as
            in the released annotations.

    Returns:
        `SummaryParts`, *optional*: `None` where they cannot be told apart.

    Example:

    >>> from hivau70k_dataset.engine.replies import read_reply
    >>> read_reply("**1. Judgement:** Arson exists.\\n\\n2. A bin burns.\\n3. It is set on purpose.", abnormal=True)
    SummaryParts(judgement='Arson exists.', description='A bin burns.', analysis='It is set on purpose.')
    >>> read_reply("I'm sorry, I can't help with that.", abnormal=True) is None
    True
    """
    found = read_summary(text, abnormal)
    return None if found is None else found[1]


def read_summary(text: str, abnormal: bool) -> tuple[str, SummaryParts] | None:
    """A reply as one text and in its parts, see `read_reply`: prose stays as it is, parts are put together."""
    text = text.replace("\r\n", "\n").strip()
    for read in (_from_json, _from_numbers, _from_headings):
        if (found := read(text)) is not None:
            parts = _of_kind(found, abnormal)
            return None if parts is None else (summary_of(parts), parts)
    parts = _from_prose(text, abnormal)
    return None if parts is None else (" ".join(text.split()), parts)


def summary_of(parts: SummaryParts) -> str:
    """The parts as one text, as the free text of the annotations is.

    Example:

    >>> summary_of(SummaryParts("Arson exists.", "A bin burns", "It is set on purpose."))
    'Arson exists. A bin burns. It is set on purpose.'
    """
    told = [part.strip() for part in (parts.judgement, parts.description, parts.analysis) if part and part.strip()]
    return " ".join(part if part[-1] in ".!?" else f"{part}." for part in told)


def _of_kind(parts: dict[str, str], abnormal: bool) -> SummaryParts | None:
    """The parts that a segment of its kind has; `None` where one that it must have is missing."""
    needed = SUMMARY_TASKS if abnormal else SUMMARY_TASKS[:2]
    cleaned = {task: _clean(parts.get(task, "")) for task in needed}
    return SummaryParts(**cleaned) if all(cleaned.values()) else None


def _clean(text: str) -> str:
    """A part without what Markdown puts around it."""
    lines = (re.sub(r"^\s*(?:[#>*•-]+\s+|[*_]+)|[*_`]+\s*$", "", line).strip() for line in text.strip().split("\n"))
    joined = " ".join(line for line in lines if line and not re.fullmatch(r"[-*_=\s]+", line))
    return re.sub(r"\*\*|__|`", "", joined).strip()


def _from_json(text: str) -> dict[str, str] | None:
    fence = _FENCE.search(text)
    candidates = [fence["inside"]] if fence else []
    if "{" in text and "}" in text:
        candidates.append(text[text.index("{") : text.rindex("}") + 1])
    for candidate in candidates:
        try:
            found = json.loads(candidate, strict=False)
        except ValueError:
            continue
        if isinstance(found, dict):
            named = {_part_of(str(name)): value for name, value in found.items() if isinstance(value, str)}
            named.pop(None, None)
            if named:
                return named
    return None


def _from_numbers(text: str) -> dict[str, str] | None:
    """The last run of 1, 2, 3: models sometimes repeat the question's own list in front of it."""
    marks = list(_NUMBER.finditer(text))
    for place in range(len(marks) - 2, -1, -1):
        run = marks[place : place + 3]
        numbers = [mark["number"] for mark in run]
        if numbers == ["1", "2", "3"] or (numbers == ["1", "2"] and place == len(marks) - 2):
            ends = [mark.start() for mark in marks[place + 1 : place + 3]] + [len(text)]
            bodies = [text[mark.end() : end] for mark, end in zip(run, ends)]
            return {task: _without_heading(body) for task, body in zip(SUMMARY_TASKS, bodies)}
    return None


def _without_heading(body: str) -> str:
    """A part behind its heading, if it has one that names a part or says the prompt's own words again."""
    heading = _HEADING.match(body)
    if heading and heading.end() < len(body.rstrip()) and _is_heading(heading["words"]):
        return body[heading.end() :]
    first, _, rest = body.partition("\n")
    if rest.strip() and _is_heading(re.sub(r"[*_#:]", "", first).strip()) and not first.rstrip(" *_").endswith("."):
        return rest
    return body


def _is_heading(words: str) -> bool:
    plain = " ".join(re.sub(r"[^A-Za-z ]", " ", words).lower().split())
    return _part_of(plain) is not None and not re.search(
        r"\b(?:is|are|was|were|exists?|shows?)\b(?!$)", _without_whether(plain)
    )


def _without_whether(words: str) -> str:
    """Without the prompt's own clause, whose verb makes no sentence."""
    return re.sub(r"\bwhether (?:the|an) anomaly exists\b", "", words)


def _part_of(name: str) -> str | None:
    """The part that a name or a heading stands for."""
    plain = " ".join(re.sub(r"[^A-Za-z ]", " ", name).lower().split())
    if plain in _PART:
        return _PART[plain]
    for words in sorted(_PART, key=len, reverse=True):
        if len(words) > 5 and re.search(rf"\b{words}\b", plain):
            return _PART[words]
    return None


def _from_headings(text: str) -> dict[str, str] | None:
    """Parts under headings at the start of lines."""
    found: list[tuple[str, int, int]] = []  # part, start of the heading, end of it
    for line in re.finditer(rf"^{_MARK}(?P<rest>\S.*)$", text, re.MULTILINE):
        heading = _HEADING.match(line["rest"]) or re.fullmatch(r"(?P<words>[A-Za-z ]{4,60})[*_:]*", line["rest"])
        if heading and _is_heading(heading["words"]):
            part = _part_of(heading["words"])
            if part is not None:
                found.append((part, line.start(), line.start("rest") + heading.end()))
    if [part for part, _, _ in found] not in (list(SUMMARY_TASKS), list(SUMMARY_TASKS[:2])):
        return None
    ends = [start for _, start, _ in found[1:]] + [len(text)]
    return {part: text[begin:end] for (part, _, begin), end in zip(found, ends)}


def _from_prose(text: str, abnormal: bool) -> SummaryParts | None:
    """Prose in the form of the released summaries."""
    prose = " ".join(text.split())
    if not prose or parse_judgement(prose).abnormal is None:
        return None
    if not abnormal:
        parts = split_summary(prose, abnormal=False)
        return parts if parts.description and parts.description.rstrip(".") != parts.judgement.rstrip(".") else None
    *before, last = re.split(r"(?<=[.!?])\s+", prose)
    if not before or not _BASIS.search(last):
        return None
    return split_summary(prose, abnormal=True)
