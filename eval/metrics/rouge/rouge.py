"""ROUGE-L of texts, after pycocoevalcap."""

import datasets
import evaluate
import numpy as np
from pycocoevalcap.rouge.rouge import Rouge as CocoRouge

from .texts import TextRows, tokenize


_DESCRIPTION = """\
ROUGE-L of texts, as pycocoevalcap 1.2 computes it: the F-measure, with beta 1.2, of the longest common subsequence of
words.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (list of str): One text a row.
    references (list of str, or of lists of str): One text a row, or several; precision and recall are each that of the
        best reference.
    tokenizer (str, optional, defaults to "ptb"): "ptb" for lower case Penn Treebank tokens without punctuation, which
        needs Java, or "whitespace" for the texts as they are, split at every single space.
    per_row (bool, optional, defaults to False): Whether to return `scores`.

Returns:
    rouge_l (float): Mean over the rows, in [0, 1].
    tokenizer (str): The one used.
    num_rows (int): What was counted.
    scores (list of float): With `per_row`, the score of each row.

Examples:

    >>> import evaluate
    >>> metric = evaluate.load("eval/metrics/rouge")
    >>> result = metric.compute(
    ...     predictions=["A man breaks the window of a shop.", "Nothing happens."],
    ...     references=[
    ...         ["A man breaks the window of the store."],
    ...         ["Nothing unusual happens.", "Nothing happens here."],
    ...     ],
    ...     per_row=True,
    ... )
    >>> round(result["rouge_l"], 3), [round(score, 3) for score in result["scores"]]
    (0.761, [0.75, 0.772])
    >>> result["tokenizer"]
    'ptb'
"""

_CITATION = """\
@inproceedings{lin2004automatic,
  title     = {Automatic Evaluation of Machine Translation Quality Using Longest Common Subsequence and Skip-Bigram
               Statistics},
  author    = {Lin, Chin-Yew and Och, Franz Josef},
  booktitle = {ACL},
  year      = {2004}
}
"""


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class Rouge(TextRows, evaluate.Metric):
    """ROUGE-L."""

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
        rouge = CocoRouge()
        rows = zip(*tokenize(predictions, references, tokenizer))
        scores = [float(rouge.calc_score([prediction], texts)) for prediction, texts in rows]
        result = {"rouge_l": float(np.mean(scores)), "tokenizer": tokenizer, "num_rows": len(scores)}
        return {**result, "scores": scores} if per_row else result
