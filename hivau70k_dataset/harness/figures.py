"""The figures of the tasks, by the `evaluate` modules in `eval/metrics`: those of `eval/reasoning.py score`."""

import math
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from modeling_holmes_vau.base.installed import installed_folder


FOLDER = Path(__file__).resolve().parents[2] / "eval" / "metrics"
TEXTS = ("bleu_1", "bleu_4", "bleu_sum", "cider", "meteor", "rouge_l")
JUDGEMENTS = ("accuracy", "precision", "recall", "f1", "class_accuracy", "class_accuracy_strict", "unparsable")

Pairs = tuple[tuple[str, str], ...]


def text_pair(document: dict[str, Any], results: list[str]) -> dict[str, Any]:
    """What the figures of a text are made of: answer and reference, under the name of each; and for the samples that
    lmms-eval writes, which row of which segment it is."""
    pair = (results[0], document["reference"])
    return {"row": document["row"], "video": document["video"], **dict.fromkeys(TEXTS, pair)}


def judgement_pair(document: dict[str, Any], results: list[str]) -> dict[str, Any]:
    """The same of a judgement."""
    pair = (results[0], document["reference"])
    return {"row": document["row"], "video": document["video"], **dict.fromkeys(JUDGEMENTS, pair)}


def metric_folder(name: str) -> Path:
    """Where the module of a metric is: in the repository, or where this package was installed.

    Raises:
        `FileNotFoundError`: if it is in neither place.
    """
    if (FOLDER / name / f"{name}.py").is_file():
        return FOLDER / name
    if found := installed_folder(name, f"{name}.py"):
        return found
    raise FileNotFoundError(f"the metric {name} is neither in {FOLDER} nor installed; install holmes-vau again")


def load(name: str):
    """A metric."""
    import evaluate

    return evaluate.load(str(metric_folder(name)), keep_in_memory=True)


@lru_cache(maxsize=1)
def tokens(pairs: Pairs) -> tuple[list[str], list[list[str]]]:
    """PTB tokens of answers and of references, for all metrics of texts: each time is a start of Java."""
    texts = sys.modules[type(load("bleu")).__module__]  # which has the tokeniser that all of them bring
    predictions, references = zip(*pairs)
    return texts.tokenize(predictions, [[text] for text in references], "ptb")


@lru_cache(maxsize=8)  # the figures of one metric are asked for one after another
def compute(name: str, pairs: Pairs) -> dict[str, float | None]:
    """What a metric says of answers and references."""
    if name == "judgement":
        predictions, references = zip(*pairs)
        return load(name).compute(predictions=list(predictions), references=list(references))
    predictions, references = tokens(pairs)
    return load(name).compute(predictions=predictions, references=references, tokenizer="whitespace")


def figure(name: str, column: str) -> Callable[[list[tuple[str, str]]], float]:
    """The function that lmms-eval calls with all pairs of a task; nan where the metric has no such figure."""

    def aggregate(pairs: list[tuple[str, str]]) -> float:
        found = compute(name, tuple(map(tuple, pairs)))[column]
        return math.nan if found is None else float(found)

    return aggregate


bleu_1, bleu_4, bleu_sum = (figure("bleu", column) for column in ("bleu_1", "bleu_4", "bleu_sum"))
cider, meteor, rouge_l = figure("cider", "cider"), figure("meteor", "meteor"), figure("rouge", "rouge_l")
accuracy, precision, recall, f1, class_accuracy, class_accuracy_strict = (
    figure("judgement", column) for column in JUDGEMENTS[:6]
)


def unparsable(pairs: list[tuple[str, str]]) -> float:
    """Share of the answers that state no verdict."""
    found = compute("judgement", tuple(map(tuple, pairs)))
    return found["num_unparsable"] / found["num_rows"]
