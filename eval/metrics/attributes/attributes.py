"""Persons and colours in descriptions: whether an answer names those that the reference names."""

import re
from collections import Counter
from dataclasses import dataclass

import datasets
import evaluate


_DESCRIPTION = """\
Reads who is named in a description, and which colours of clothes, vehicles and other things, and compares them with
those of the reference: precision, recall and F1 of coloured things, of persons by kind, and of coloured persons.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (list of str): Descriptions.
    references (list of str): The annotated ones.
    per_row (bool): Also return what each row adds up to, so that resamples need no second run. Default false.

Returns:
    colour_precision, colour_recall, colour_f1 (float): Of mentions of a colour with the kind of thing that has it: a
        person, a vehicle, a bag, a bin, paint, goods or a box. All rows together.
    clothes_f1 (float): Of mentions of a person's colour alone.
    person_precision, person_recall, person_f1 (float): Of persons by kind: man, woman, hooded person, police officer,
        worker, another person.
    number_accuracy (float): Share of the references that name persons whose answer names as many.
    num_colours, num_persons (int): Mentions in the references.
    rows (list of dict): With `per_row`.

    A share is null where there is nothing to divide by.

Examples:

    >>> import evaluate
    >>> metric = evaluate.load("eval/metrics/attributes")
    >>> truth = "A man in a red coat points a gun at a woman in blue. The man runs to a white van."
    >>> result = metric.compute(predictions=["A man in white aims at a woman in blue."], references=[truth])
    >>> round(result["colour_f1"], 3), result["person_f1"], result["number_accuracy"]
    (0.4, 1.0, 1.0)
"""

COLOURS = (
    "red blue green yellow white black orange purple pink brown grey gray silver beige golden gold navy violet"
).split()
SAME = {"gray": "grey", "golden": "gold", "violet": "purple"}
NUMBERS = {"a": 1, "an": 1, "one": 1, "another": 1, "two": 2, "both": 2, "three": 3, "four": 4, "five": 5}
PERSONS = {
    "hooded person": "hooded persons?|hooded m[ae]n|hooded wom[ae]n|hooded figures?",
    "police officer": "police officers?|policem[ae]n|policewom[ae]n|officers?|cops?",
    "worker": "workers?",
    "woman": "wom[ae]n|lad(?:y|ies)|girls?",
    "man": "m[ae]n|boys?|guys?|gentlem[ae]n",
    "person": "persons?|people|individuals?|pedestrians?|customers?|figures?",
}
THINGS = {
    "vehicle": "cars?|vans?|vehicles?|trucks?|bus(?:es)?|sedans?|suvs?|motor(?:cycles?|bikes?)|bi(?:cycl|k)es?|taxis?",
    "bag": "bags?|backpacks?|suitcases?|handbags?",
    "bin": "bins?|trash cans?",
    "paint": "graffiti|paint|letters|lines|posters?",
    "goods": "goods|items?",
    "box": "box(?:es)?|parcels?",
}
_COLOUR = "|".join(COLOURS)
_PERSON = "|".join(f"(?P<{kind.replace(' ', '_')}>{words})" for kind, words in PERSONS.items())
# "two men", "the man in a long red coat", "a woman wearing blue", "three officers in black and yellow vests"
_SOMEBODY = re.compile(
    rf"\b(?:(?P<which>the|this|that|these|those|{'|'.join(NUMBERS)})\s+)?(?:(?!the\b)[a-z-]+\s+){{0,2}}?(?:{_PERSON})\b"
    r"(?:,?\s+(?:who\s+(?:is|are)\s+)?(?:in|wearing|wears|wear|dressed\s+in|with)\s+(?:(?:an?|the|his|her|their)\s+)?"
    rf"(?:(?!and\b)[a-z-]+\s+){{0,2}}?(?P<colour>{_COLOUR})\b)?"
)
_THINGS = "|".join(f"(?P<{kind}>{words})" for kind, words in THINGS.items())
_THING = re.compile(rf"\b(?P<colour>{_COLOUR})\s+(?:[a-z-]+\s+)?(?:{_THINGS})\b")


@dataclass(frozen=True)
class Mentions:
    """What a text names: `persons` by kind, `colours` by kind of thing and colour."""

    persons: Counter
    colours: Counter


def read_mentions(text: str) -> Mentions:
    """
    The persons and colours that an English description names.

    Somebody who comes back with "the" ("the man", "the man in red") is not counted again where a person of that kind,
    and of that colour if one is said, was named before. What is denied ("no car") and what pronouns stand for is not
    told apart; nor are persons who are named twice as if they were new.

    Example:

    >>> found = read_mentions("Two men in black and a woman in a red coat run. The woman falls beside a blue car.")
    >>> dict(found.persons), dict(found.colours)
    ({'man': 2, 'woman': 1}, {('person', 'black'): 2, ('person', 'red'): 1, ('vehicle', 'blue'): 1})
    """
    text = " ".join(text.lower().split())
    persons, colours = Counter(), Counter()
    for match in _SOMEBODY.finditer(text):
        kind = next(name for name in PERSONS if match[name.replace(" ", "_")])
        colour = match["colour"] and SAME.get(match["colour"], match["colour"])
        number = NUMBERS.get(match["which"] or "", 1)
        if match["which"] in ("the", "this", "that", "these", "those", "both") and persons[kind]:
            if colour is None or colours["person", colour]:
                continue
        persons[kind] += number
        if colour:
            colours["person", colour] += number
    known: set[tuple[str, str]] = set()
    for match in _THING.finditer(text):
        mention = next(name for name in THINGS if match[name]), SAME.get(match["colour"], match["colour"])
        if mention not in known:  # things come back without "the" as well
            colours[mention] += 1
        known.add(mention)
    return Mentions(+persons, +colours)


FIELDS = (
    "colours_met colours_said colours_there clothes_met clothes_said clothes_there persons_met persons_said "
    "persons_there number_met with_persons"
).split()


def compare(prediction: str, reference: str) -> dict[str, int]:
    """What a row adds up to, by `FIELDS`."""
    said, there = read_mentions(prediction), read_mentions(reference)
    clothes = [Counter({key: n for key, n in one.colours.items() if key[0] == "person"}) for one in (said, there)]
    pairs = {
        "colours": (said.colours, there.colours),
        "clothes": tuple(clothes),
        "persons": (said.persons, there.persons),
    }
    row = {}
    for name, (ours, theirs) in pairs.items():
        row |= {f"{name}_met": (ours & theirs).total(), f"{name}_said": ours.total(), f"{name}_there": theirs.total()}
    counted = bool(there.persons)
    row["number_met"] = int(counted and said.persons.total() == there.persons.total())
    return {**row, "with_persons": int(counted)}


def share(part: float, whole: float) -> float | None:
    """Part of a whole; `None` of nothing."""
    return part / whole if whole else None


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class Attributes(evaluate.Metric):
    """Persons and colours in descriptions."""

    def _info(self):
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features(
                {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
            ),
        )

    def _compute(self, predictions, references, per_row=False):
        rows = [compare(*pair) for pair in zip(predictions, references)]
        total = {name: sum(row[name] for row in rows) for name in FIELDS}

        def f1(name: str) -> float | None:
            return share(2 * total[f"{name}_met"], total[f"{name}_said"] + total[f"{name}_there"])

        result = {
            "colour_precision": share(total["colours_met"], total["colours_said"]),
            "colour_recall": share(total["colours_met"], total["colours_there"]),
            "colour_f1": f1("colours"),
            "clothes_f1": f1("clothes"),
            "person_precision": share(total["persons_met"], total["persons_said"]),
            "person_recall": share(total["persons_met"], total["persons_there"]),
            "person_f1": f1("persons"),
            "number_accuracy": share(total["number_met"], total["with_persons"]),
            "num_colours": total["colours_there"],
            "num_persons": total["persons_there"],
        }
        return {**result, "rows": rows} if per_row else result
