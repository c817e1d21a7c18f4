"""METEOR 1.5 of texts, by the jar and with the options of pycocoevalcap."""

from pathlib import Path

import datasets
import evaluate
import numpy as np
from pycocoevalcap.meteor import meteor as coco_meteor

from .texts import TextRows, require_java, run_java, tokenize


_DESCRIPTION = """\
METEOR 1.5 of a corpus of texts for English, as pycocoevalcap 1.2 runs it: words aligned by form, stem, synonym and
paraphrase. Needs Java.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (list of str): One text a row.
    references (list of str, or of lists of str): One text a row, or several; the best one counts.
    tokenizer (str, optional, defaults to "ptb"): "ptb" for lower case Penn Treebank tokens without punctuation, or
        "whitespace" for the texts as they are. METEOR splits off punctuation and lowers the case of either.
    per_row (bool, optional, defaults to False): Whether to return `scores` and `statistics`.

    Whitespace of any kind, and however much of it, counts as one space. The token "|||" is left out: METEOR keeps it
    for itself.

Returns:
    meteor (float): Of the corpus, in [0, 1]: computed from the sums of the statistics, not the mean over the rows.
    tokenizer (str): The one used.
    num_rows (int): What was counted.
    scores (list of float): With `per_row`, the score of each row.
    statistics (list of lists of float): With `per_row`, the 23 numbers METEOR counts in each row; a row that matches
        from end to end has no chunk. `from_statistics(rows)` gives the METEOR of any selection of these rows.

Examples:

    >>> import evaluate
    >>> metric = evaluate.load("eval/metrics/meteor")
    >>> result = metric.compute(
    ...     predictions=["A man breaks the window of a shop.", "Nothing happens."],
    ...     references=[
    ...         ["A man breaks the window of the store."],
    ...         ["Nothing unusual happens.", "Nothing happens here."],
    ...     ],
    ...     per_row=True,
    ... )
    >>> round(result["meteor"], 3), [round(score, 3) for score in result["scores"]]
    (0.433, [0.482, 0.335])
    >>> result["tokenizer"]
    'ptb'
"""

_CITATION = """\
@inproceedings{denkowski2014meteor,
  title     = {Meteor Universal: Language Specific Translation Evaluation for Any Target Language},
  author    = {Denkowski, Michael and Lavie, Alon},
  booktitle = {Workshop on Statistical Machine Translation},
  year      = {2014}
}
"""

METEOR_JAR = Path(coco_meteor.__file__).with_name(coco_meteor.METEOR_JAR)
# Parameters of METEOR 1.5 for English; the weights are of words matched by form, stem, synonym and paraphrase.
ALPHA, BETA, GAMMA, DELTA = 0.85, 0.2, 0.6, 0.75
WEIGHTS = (1.0, 0.6, 0.8, 0.6)
# The statistics of a row: words and function words of prediction and reference; four numbers for each kind of match;
# chunks, and matched words of prediction and reference.
NUM_STATISTICS, CHUNKS = 23, 20


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class Meteor(TextRows, evaluate.Metric):
    """METEOR 1.5."""

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
        require_java("METEOR")
        predictions = [_one_line(text) for text in predictions]
        references = [[_one_line(text) for text in row] for row in references]
        statistics = _count(*tokenize(predictions, references, tokenizer))
        result = {**self.from_statistics(statistics), "tokenizer": tokenizer, "num_rows": len(predictions)}
        if per_row:
            result |= {"scores": _score(statistics).tolist(), "statistics": statistics.tolist()}
        return result

    @staticmethod
    def from_statistics(statistics: list[list[float]]) -> dict[str, float]:
        """The METEOR of rows of `statistics`.

        Args:
            statistics (`list[list[float]]` or `np.ndarray` of shape `(rows, 23)`): Any selection, with repetitions.
        """
        return {"meteor": float(_score(np.array(statistics, dtype=np.float64).sum(axis=0)))}


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _count(predictions: list[str], references: list[list[str]]) -> np.ndarray:
    """METEOR's statistics, shape (rows, 23). Files, not pycocoevalcap's dialogue: nothing in a text can break them."""
    most = max(map(len, references))
    padded = [text for row in references for text in [*row, *[row[-1]] * (most - len(row))]]  # it takes one number
    files = {
        name: "".join(_one_line(text.replace("|||", "")) + "\n" for text in texts)
        for name, texts in (("predictions", predictions), ("references", padded))
    }
    command = ["-jar", str(METEOR_JAR), *files, "-l", "en", "-norm", "-ssOut", "-r", str(most)]
    lines = run_java("METEOR", command, files, len(predictions)).splitlines()
    statistics = [[float(number) for number in line.split()] for line in lines]
    if len(statistics) != len(predictions) or any(len(row) != NUM_STATISTICS for row in statistics):
        raise RuntimeError(
            f"METEOR: Java gave {len(lines)} lines for {len(predictions)} rows. Check that `java -version` works."
        )
    counted = np.array(statistics)
    counted[_same(counted), CHUNKS] = 0  # METEOR takes no penalty for the one chunk of such a row, alone or in a sum
    return counted


def _matches(statistics: np.ndarray) -> np.ndarray:
    """Matched words by kind of match, content or function word, prediction or reference."""
    return statistics[..., 4:CHUNKS].reshape(*statistics.shape[:-1], len(WEIGHTS), 2, 2)  # (..., kind, sort, text)


def _same(statistics: np.ndarray) -> np.ndarray:
    """Where prediction and reference match from end to end in one chunk."""
    every_word = _matches(statistics).sum(axis=(-3, -2)) == statistics[..., :2]  # (..., text)
    return every_word.all(axis=-1) & (statistics[..., CHUNKS] == 1)


def _score(statistics: np.ndarray) -> np.ndarray:
    """METEOR's formula: weighted precision and recall, and a penalty for matches in many chunks; NaN means 0."""
    words, function_words = statistics[..., :2], statistics[..., 2:4]
    by_sort = (DELTA, 1 - DELTA)  # content words weigh more
    matched = np.einsum("k,s,...kst->...t", WEIGHTS, by_sort, _matches(statistics))
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = matched / (DELTA * (words - function_words) + (1 - DELTA) * function_words)
        mean = 1 / ((1 - ALPHA) / shares[..., 0] + ALPHA / shares[..., 1])  # of precision and recall
        chunks = statistics[..., CHUNKS] / statistics[..., CHUNKS + 1 :].mean(axis=-1)
    penalty = GAMMA * chunks**BETA
    return np.nan_to_num(mean * (1 - penalty)).clip(min=0)
