"""BLEU-1 to BLEU-4 of texts and their sum, after pycocoevalcap."""

import datasets
import evaluate
import numpy as np
from pycocoevalcap.bleu.bleu_scorer import cook_refs, cook_test

from .texts import TextRows, tokenize


_DESCRIPTION = """\
BLEU-1 to BLEU-4 of a corpus of texts, as pycocoevalcap 1.2 computes them (closest reference length), and their sum,
which the paper of Holmes-VAU reports as "BLEU".
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (list of str): One text a row.
    references (list of str, or of lists of str): One text a row, or several.
    tokenizer (str, optional, defaults to "ptb"): "ptb" for lower case Penn Treebank tokens without punctuation, which
        needs Java, or "whitespace" for the texts as they are, split at whitespace.
    per_row (bool, optional, defaults to False): Whether to return `statistics`.

Returns:
    bleu_1, bleu_2, bleu_3, bleu_4 (float): Geometric mean of the n-gram precisions of the corpus up to that order,
        times the brevity penalty.
    bleu_sum (float): Their sum, in [0, 4].
    tokenizer (str): The one used.
    num_rows (int): What was counted.
    statistics (list of lists of int): With `per_row`, what BLEU is made of, for each row: matched n-grams of order 1
        to 4, n-grams of order 1 to 4, words of the prediction, words of the closest reference.
        `from_statistics(rows)` gives the BLEU of any selection of these rows.

Examples:

    >>> import evaluate
    >>> metric = evaluate.load("eval/metrics/bleu")
    >>> result = metric.compute(
    ...     predictions=["A man breaks the window of a shop.", "Nothing happens."],
    ...     references=[
    ...         ["A man breaks the window of the store."],
    ...         ["Nothing unusual happens.", "Nothing happens here."],
    ...     ],
    ... )
    >>> {name: round(result[name], 3) for name in ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "bleu_sum")}
    {'bleu_1': 0.724, 'bleu_2': 0.701, 'bleu_3': 0.667, 'bleu_4': 0.633, 'bleu_sum': 2.725}
    >>> result["tokenizer"]
    'ptb'
"""

_CITATION = """\
@inproceedings{papineni2002bleu,
  title     = {{BLEU}: a Method for Automatic Evaluation of Machine Translation},
  author    = {Papineni, Kishore and Roukos, Salim and Ward, Todd and Zhu, Wei-Jing},
  booktitle = {ACL},
  year      = {2002}
}
"""

# pycocoevalcap adds these to numerators and denominators, so that nothing is divided by zero.
TINY, SMALL = 1e-15, 1e-9


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class Bleu(TextRows, evaluate.Metric):
    """BLEU-1 to BLEU-4 and their sum."""

    def _info(self):
        features = {
            "predictions": datasets.Value("string"),
            "references": datasets.Sequence(datasets.Value("string")),
        }
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features(features),
        )

    def _compute(self, predictions, references, tokenizer="ptb", per_row=False):
        tokenized, reference_tokens = tokenize(predictions, references, tokenizer)
        statistics = [_count(*row) for row in zip(tokenized, reference_tokens)]
        result = {**self.from_statistics(statistics), "tokenizer": tokenizer, "num_rows": len(predictions)}
        return {**result, "statistics": statistics} if per_row else result

    @staticmethod
    def from_statistics(statistics: list[list[int]]) -> dict[str, float]:
        """The BLEU of rows of `statistics`.

        Args:
            statistics (`list[list[int]]` or `np.ndarray` of shape `(rows, 10)`): Any selection, with repetitions.
        """
        totals = np.sum(statistics, axis=0)
        precisions = (totals[:4] + TINY) / (totals[4:8] + SMALL)
        scores = np.cumprod(precisions) ** (1 / np.arange(1, 5))
        ratio = (totals[8] + TINY) / (totals[9] + SMALL)
        if ratio < 1:
            scores *= np.exp(1 - 1 / ratio)
        return {**{f"bleu_{n}": float(score) for n, score in enumerate(scores, 1)}, "bleu_sum": float(scores.sum())}


def _count(prediction: str, references: list[str]) -> list[int]:
    """What BLEU is made of: 4 matches, 4 totals, words of the prediction and of the closest reference."""
    counts = cook_test(prediction, cook_refs(references), eff="closest")
    return [*counts["correct"], *counts["guess"], counts["testlen"], counts["reflen"]]
