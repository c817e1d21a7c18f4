"""CIDEr of texts, after pycocoevalcap."""

import datasets
import evaluate
from pycocoevalcap.cider.cider import Cider as CocoCider

from .texts import TextRows, tokenize


_DESCRIPTION = """\
CIDEr of a corpus of texts, as pycocoevalcap 1.2 computes it (known as CIDEr-D): similarity of the n-grams of order 1
to 4, weighted by how rare they are among the references given, clipped, with a penalty on differences of length.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (list of str): One text a row.
    references (list of str, or of lists of str): One text a row, or several.
    tokenizer (str, optional, defaults to "ptb"): "ptb" for lower case Penn Treebank tokens without punctuation, which
        needs Java, or "whitespace" for the texts as they are, split at whitespace.
    per_row (bool, optional, defaults to False): Whether to return `scores`.

Returns:
    cider (float): Mean over the rows, in [0, 10].
    tokenizer (str): The one used.
    num_rows (int): What was counted.
    scores (list of float): With `per_row`, the score of each row, given how rare n-grams are among the references of
        all rows.

Examples:

    >>> import evaluate
    >>> metric = evaluate.load("eval/metrics/cider")
    >>> result = metric.compute(
    ...     predictions=["A man breaks the window of a shop.", "Nothing happens."],
    ...     references=[
    ...         ["A man breaks the window of the store."],
    ...         ["Nothing unusual happens.", "Nothing happens here."],
    ...     ],
    ...     per_row=True,
    ... )
    >>> round(result["cider"], 3), [round(score, 3) for score in result["scores"]]
    (4.794, [6.702, 2.885])
    >>> result["tokenizer"]
    'ptb'
"""

_CITATION = """\
@inproceedings{vedantam2015cider,
  title     = {{CIDEr}: Consensus-based Image Description Evaluation},
  author    = {Vedantam, Ramakrishna and Zitnick, C. Lawrence and Parikh, Devi},
  booktitle = {CVPR},
  year      = {2015}
}
"""


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class Cider(TextRows, evaluate.Metric):
    """CIDEr with document frequencies from the references."""

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
        if not any(text.split() for row in reference_tokens for text in row):
            raise ValueError("No reference holds a word, and CIDEr counts words in them. Pass references with words.")
        score, scores = CocoCider().compute_score(
            dict(enumerate(reference_tokens)), {row: [text] for row, text in enumerate(tokenized)}
        )
        result = {"cider": float(score), "tokenizer": tokenizer, "num_rows": len(predictions)}
        return {**result, "scores": scores.tolist()} if per_row else result
