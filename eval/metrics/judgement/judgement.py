"""Judgements in words: whether a video is called abnormal when it is, and by the right name."""

import re
from dataclasses import dataclass

import datasets
import evaluate


try:
    from hivau70k_dataset.labels import Judgement, parse_judgement
except ImportError as error:
    raise ImportError(
        "The metric `judgement` reads classes with the map of the package `hivau70k_dataset`, which cannot be "
        'imported. Install it from the root of the repository: pip install -e ".[eval]".'
    ) from error


_DESCRIPTION = """\
Reads verdict and classes out of judgements in words ("An anomaly exists, specifically a Shooting anomaly.") and
compares them with those of the reference: accuracy, precision, recall and F1 of the verdict, accuracy of the class.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (list of str): Answers to the question whether there is an anomaly, and which.
    references (list of str): The annotated answers. Those that state no verdict are left out and counted.
    per_row (bool): Also return what each row adds up to, so that resamples need no second run. Default false.

Returns:
    accuracy (float): Share of the verdicts that are right. An answer that states none is wrong.
    precision (float): Share of the answers "abnormal" that are right.
    recall (float): Share of the abnormal references that are answered "abnormal".
    f1 (float): Harmonic mean of both.
    class_accuracy (float): Share of the abnormal references with a known class whose answer names at least one of
        their classes.
    class_accuracy_strict (float): The same where the answer names all of their classes and no other.
    num_rows, num_abnormal, num_with_class (int): References that state a verdict, that say "abnormal", and that name a
        known class.
    num_unparsable (int): Answers to these that state no verdict.
    num_unparsable_references (int): References that state no verdict, which count nowhere else.
    rows (list of dict): With `per_row`; each a 0 or 1 for `true_positive`, `false_positive`, `false_negative`,
        `true_negative`, `counted`, `unparsable`, `with_class`, `class_met`, `class_equal`.

    A share is null where there is nothing to divide by.

Examples:

    >>> import evaluate
    >>> metric = evaluate.load("eval/metrics/judgement")
    >>> shooting = "An anomaly exists, specifically a Shooting anomaly."
    >>> answers = ["Yes, someone is robbed at gunfire.", "Yes, a fight.", "A calm street.", "Nothing unusual happens."]
    >>> result = metric.compute(predictions=answers, references=[shooting, shooting, shooting, "No anomaly exists."])
    >>> result["accuracy"], result["precision"], round(result["recall"], 3), result["num_unparsable"]
    (0.75, 1.0, 0.667, 1)
    >>> round(result["class_accuracy"], 3), round(result["class_accuracy_strict"], 3)
    (0.333, 0.333)
"""

_CITATION = """\
@inproceedings{zhang2025holmesvau,
  title     = {Holmes-{VAU}: Towards Long-term Video Anomaly Understanding at Any Granularity},
  author    = {Zhang, Huaxin and others},
  booktitle = {CVPR},
  year      = {2025}
}
"""

_YES = re.compile(r"\W*yes\b[\s,.:;!-]*", re.IGNORECASE)
# A question that is said again before it is answered.
_QUESTION = re.compile(r"^(?!\W*yes\b)(?:[^.!?]*+\?\W*+)++(?=\w)", re.IGNORECASE)
# "not normal", "doesn't appear to be normal", "cannot be called entirely normal"; not "does not differ from normal".
_NOT_NORMAL = re.compile(
    r"(?:\b(?:not|cannot|never)|n['’]t)\s+(?:\w+\s+)?"
    r"(?:(?:to|be|been|is|was|are|it|this|that|like|an?|all|quite|\w+ly|called|considered)\s+)*"
    r"(?:normal|ordinary)\b",
    re.IGNORECASE,
)
_NORMAL = re.compile(r"\b(?:normal|(?<!out of the )ordinary)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Outcome:
    """What one row adds up to; every field is 0 or 1."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int
    counted: int
    unparsable: int
    with_class: int
    class_met: int
    class_equal: int


def read_answer(text: str) -> Judgement:
    """What an answer states, in the wording of the release or in a chat model's.

    `parse_judgement` reads the wording of the release. Beyond it "Yes" is abnormal, as every question of the benchmark
    asks for anomalies, "not normal" is abnormal, and an answer that says only that things are normal is normal. A
    question before the answer is passed over.
    """
    text = _NOT_NORMAL.sub(" abnormal", _QUESTION.sub("", text))
    yes = _YES.match(text)
    rest = text[yes.end() :] if yes else text
    judgement = parse_judgement(rest, affirmed=yes is not None)
    if judgement.abnormal is not None or not text.strip():
        return judgement
    if _NORMAL.search(rest):
        return Judgement(None if yes else False)
    return Judgement(True if yes else None)


def outcome(prediction: str, reference: str) -> Outcome:
    """Compare one answer with its reference."""
    truth, answer = read_answer(reference), read_answer(prediction)
    if truth.abnormal is None:
        return Outcome(0, 0, 0, 0, 0, 0, 0, 0, 0)
    wanted, named = set(truth.classes), set(answer.classes)
    return Outcome(
        true_positive=int(truth.abnormal and answer.abnormal is True),
        false_positive=int(not truth.abnormal and answer.abnormal is True),
        false_negative=int(truth.abnormal and answer.abnormal is not True),
        true_negative=int(not truth.abnormal and answer.abnormal is False),
        counted=1,
        unparsable=int(answer.abnormal is None),
        with_class=int(bool(wanted)),
        class_met=int(bool(wanted & named)),
        class_equal=int(bool(wanted) and wanted == named),
    )


def check_rows(predictions: list[str], references: list[str]) -> None:
    """`ValueError` where there is nothing to compare, or not one text for each."""
    for name, texts in (("predictions", predictions), ("references", references)):
        if texts is None or isinstance(texts, str):
            raise ValueError(f"`{name}` must be a list with an entry for each row, got {texts!r:.80}.")
    if len(predictions) != len(references) or not len(references):
        raise ValueError(
            f"Got {len(predictions)} predictions and {len(references)} references, expected as many of both and at "
            "least one. Pass one answer and one reference for each judgement."
        )
    for name, texts in (("predictions", predictions), ("references", references)):
        for row, text in enumerate(texts):
            if not isinstance(text, str):
                raise ValueError(f"{name}[{row}] is {text!r:.80}, expected a text. Pass an empty one for no answer.")


def share(part: int, whole: int) -> float | None:
    """Part of a whole; `None` of nothing."""
    return part / whole if whole else None


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class JudgementAccuracy(evaluate.Metric):
    """Verdict and class of judgements in words."""

    def _info(self):
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features(
                {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
            ),
        )

    def add_batch(self, *, predictions, references):
        """Add rows; see `compute`."""
        check_rows(predictions, references)
        super().add_batch(predictions=predictions, references=references)

    def add(self, *, prediction, reference):
        """Add a row; see `compute`."""
        self.add_batch(predictions=[prediction], references=[reference])

    def _compute(self, predictions, references, per_row=False):
        rows = [vars(outcome(*pair)) for pair in zip(predictions, references)]
        total = {name: sum(row[name] for row in rows) for name in rows[0]}
        if not total["counted"]:
            raise ValueError(
                f"Got {len(rows)} references of which none states a verdict ({references[0]!r}), expected judgements. "
                "Pass the answers of the task `judgement` alone."
            )
        hits, alarms, misses = total["true_positive"], total["false_positive"], total["false_negative"]
        result = {
            "accuracy": share(hits + total["true_negative"], total["counted"]),
            "precision": share(hits, hits + alarms),
            "recall": share(hits, hits + misses),
            "f1": share(2 * hits, 2 * hits + alarms + misses),
            "class_accuracy": share(total["class_met"], total["with_class"]),
            "class_accuracy_strict": share(total["class_equal"], total["with_class"]),
            "num_rows": total["counted"],
            "num_abnormal": hits + misses,
            "num_with_class": total["with_class"],
            "num_unparsable": total["unparsable"],
            "num_unparsable_references": len(rows) - total["counted"],
        }
        return {**result, "rows": rows} if per_row else result
