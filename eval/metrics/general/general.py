"""Short answers to general questions: whether the one right option is named."""

import re

import datasets
import evaluate


_DESCRIPTION = """\
Whether an answer to a general question ("How many people are there?") names the right option alone.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (list of str): Answers.
    references (list of str): The right option of each question.
    options (list of list of str): All options of each question, the right one among them.
    kinds (list of str, optional): What each question asks for; adds the accuracy of each kind.
    per_row (bool): Also return whether each answer is right. Default false.

Returns:
    accuracy (float): Share of the answers that name their right option and none else.
    mean_accuracy (float): With `kinds`; mean of the accuracies of the kinds, each counting as much.
    by_kind (dict): With `kinds`; accuracy by kind.
    rows (list of int): With `per_row`; 1 for a right answer, 0 for a wrong one.

Examples:

    >>> import evaluate
    >>> metric = evaluate.load("eval/metrics/general")
    >>> numbers = ["nobody", "one", "two", "five or more"]
    >>> metric.compute(
    ...     predictions=["There are 2 people.", "One or two.", "Five or more people."],
    ...     references=["two", "two", "five or more"],
    ...     options=[numbers] * 3,
    ... )["accuracy"]
    0.6666666666666666
"""

DIGITS = {"0": "nobody", "1": "one", "2": "two", "3": "three", "4": "four", "5": "five"}
SAME = {  # other words for an option
    "no one": "nobody",
    "no people": "nobody",
    "none": "nobody",
    "daytime": "day",
    "inside": "indoors",
    "outside": "outdoors",
    "parking lot": "car park",
    "store": "shop",
    "hallway": "corridor",
    "gray": "silver",
    "grey": "silver",
}


def options_named(text: str, options: list[str]) -> set[str]:
    """
    The options that a text names, as whole words; of options within others the longest.

    Example:

    >>> sorted(options_named("A police officer, not a hooded person.", ["person", "hooded person", "police officer"]))
    ['hooded person', 'police officer']
    """
    text = " ".join(re.findall(r"[a-z0-9'-]+", text.lower()))
    text = re.sub(r"\b\d\b", lambda match: DIGITS.get(match[0], match[0]), text)
    words = {option.lower(): option for option in options}
    others = {said: meant for said, meant in SAME.items() if meant in words and said not in words}
    found = set()
    for phrase in sorted([*words, *others], key=len, reverse=True):
        text, number = re.subn(rf"(?<![a-z-]){re.escape(phrase)}(?![a-z-])", " ", text)
        if number:
            found.add(words[others.get(phrase, phrase)])
    return found


def is_right(prediction: str, reference: str, options: list[str]) -> bool:
    """Whether an answer names the right option alone."""
    return options_named(prediction, options) == {reference}


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class GeneralAccuracy(evaluate.Metric):
    """Accuracy of short answers."""

    def _info(self):
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features(
                {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
            ),
        )

    def _compute(self, predictions, references, options, kinds=None, per_row=False):
        for reference, known in zip(references, options, strict=True):
            if reference not in known:
                raise ValueError(f"The reference {reference!r} is none of its options, {', '.join(known)}.")
        rows = [int(is_right(*row)) for row in zip(predictions, references, options, strict=True)]
        result = {"accuracy": sum(rows) / len(rows)}
        if kinds is not None:
            of_kind: dict[str, list[int]] = {}
            for kind, right in zip(kinds, rows, strict=True):
                of_kind.setdefault(kind, []).append(right)
            result["by_kind"] = {kind: sum(found) / len(found) for kind, found in sorted(of_kind.items())}
            result["mean_accuracy"] = sum(result["by_kind"].values()) / len(of_kind)
        return {**result, "rows": rows} if per_row else result
