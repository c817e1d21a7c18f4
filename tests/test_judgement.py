"""The metric of judgements: verdicts and classes by hand, the released judgements, what it refuses."""

import csv
import doctest
import importlib.util
import re
import sys
import time
from pathlib import Path

import evaluate
import numpy as np
import pytest

from hivau70k_dataset.labels import parse_judgement
from hivau70k_dataset.reading import read_annotation_files
from modeling_holmes_vau.judgement_holmes_vau import verdict_in_words


PATH = Path(__file__).parents[1] / "eval" / "metrics" / "judgement"
SHOOTING = "An anomaly exists, specifically a Shooting anomaly."
BOTH = "An anomaly exists, specifically a Shooting and Car Accident anomaly."
NAMELESS = "Two anomaly events exist in the video."
NORMAL = "No anomaly exists in the video."
VERDICTS = {"abnormal": True, "normal": False, "none": None}


@pytest.fixture(scope="module")
def metric(tmp_path_factory) -> evaluate.Metric:
    return evaluate.load(str(PATH), cache_dir=str(tmp_path_factory.mktemp("evaluate")))


@pytest.fixture(scope="module")
def module():
    spec = importlib.util.spec_from_file_location("judgement", PATH / "judgement.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["judgement"] = module  # where a dataclass looks for its module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["judgement"]


@pytest.mark.parametrize(
    ("answer", "abnormal", "classes"),
    [
        (SHOOTING, True, {"Shooting"}),
        ("Yes, there is a fight in the shop.", True, {"Fighting"}),
        ("Yes. There is a fight.", True, {"Fighting"}),
        ("Yes.", True, set()),
        ("**Yes**, someone falls.", True, set()),
        ("No.", False, set()),
        ("No, people walk by.", False, set()),
        ("The video is normal.", False, set()),
        ("It is an ordinary day at a station.", False, set()),
        ("This is not normal: a man runs.", True, set()),
        ("That isn't quite normal.", True, set()),
        ("Yes, all is normal.", None, set()),
        ("A man walks.", None, set()),
        ("Yesterday a man walked.", None, set()),
        ("", None, set()),
        ("  \n", None, set()),
    ],
)
def test_what_an_answer_states(module, answer, abnormal, classes):
    judgement = module.read_answer(answer)
    assert judgement.abnormal is abnormal and set(judgement.classes) == classes


# Rules of the metric alone; the others are those of `parse_judgement`, which reads no answers but judgements.
OF_ANSWERS = (
    "yes",
    "yes, denied",
    "yes, normal",
    "behind the question",
    "behind the question, yes",
    "normal",
    "not normal",
)
with open(Path(__file__).parent / "fixtures" / "judgements.csv", encoding="utf-8", newline="") as file:
    JUDGEMENTS = [(row["rule"], row["verdict"], row["answer"]) for row in csv.DictReader(file)]


@pytest.mark.parametrize(("rule", "verdict", "answer"), JUDGEMENTS)
def test_the_table_of_verdicts(module, rule, verdict, answer):
    assert VERDICTS[verdict] is module.read_answer(answer).abnormal
    if verdict != "abnormal":
        assert module.read_answer(answer).classes == ()
    if rule not in OF_ANSWERS:
        assert VERDICTS[verdict] is parse_judgement(answer).abnormal


@pytest.mark.parametrize("page", [parse_judgement.__doc__, (PATH / "README.md").read_text(encoding="utf-8")])
def test_the_tables_of_the_pages(module, page):
    rows = re.findall(r"^ *\| (.*) \| (abnormal|normal|none) \| (.*) \|$", page, re.MULTILINE)
    assert len(rows) >= 10 and {verdict for _, verdict, _ in rows} == set(VERDICTS)
    for answer, verdict, _ in rows:
        assert VERDICTS[verdict] is module.read_answer(answer).abnormal, answer


@pytest.mark.parametrize(
    "answer", ["a" * 50_000, " " * 50_000, "not " * 10_000, "I " + "n't " * 10_000, "no, " * 10_000]
)
def test_long_answers_take_no_time(answer):
    start = time.perf_counter()
    parse_judgement(answer), verdict_in_words("What happens here?", answer)
    assert time.perf_counter() - start < 2


TABLE = [  # answer, reference
    (SHOOTING, SHOOTING),  # right, class met and equal
    ("Yes, a shooting and a robbery.", SHOOTING),  # right, class met
    (SHOOTING, BOTH),  # right, class met
    (BOTH, BOTH),  # right, class met and equal
    ("Yes, a fight.", SHOOTING),  # right, wrong class
    (NORMAL, SHOOTING),  # missed
    ("A man walks.", SHOOTING),  # unparsable, counts as missed
    ("Yes.", NAMELESS),  # right, no class asked for
    (NORMAL, NORMAL),  # right
    (SHOOTING, NORMAL),  # false alarm
    ("", NORMAL),  # unparsable, wrong
    (SHOOTING, "The answer got lost."),  # left out
]


def test_values_by_hand(metric):
    predictions, references = zip(*TABLE)
    result = metric.compute(predictions=list(predictions), references=list(references))
    assert result == {
        "accuracy": 7 / 11,
        "precision": 6 / 7,
        "recall": 6 / 8,
        "f1": 12 / 15,
        "class_accuracy": 4 / 7,
        "class_accuracy_strict": 2 / 7,
        "num_rows": 11,
        "num_abnormal": 8,
        "num_with_class": 7,
        "num_unparsable": 2,
        "num_unparsable_references": 1,
    }
    rows = metric.compute(predictions=list(predictions), references=list(references), per_row=True)["rows"]
    sums = np.array([list(row.values()) for row in rows]).sum(axis=0).tolist()
    assert dict(zip(rows[0], sums)) == {
        "true_positive": 6,
        "false_positive": 1,
        "false_negative": 2,
        "true_negative": 1,
        "counted": 11,
        "unparsable": 2,
        "with_class": 7,
        "class_met": 4,
        "class_equal": 2,
    }
    assert not any(rows[-1].values())


def test_shares_of_nothing_are_null(metric):
    result = metric.compute(predictions=[NORMAL], references=[NORMAL])
    assert result["accuracy"] == 1.0
    names = ("precision", "recall", "f1", "class_accuracy", "class_accuracy_strict")
    assert [result[name] for name in names] == [None] * 5


def test_the_released_judgements_against_themselves_and_against_one_answer(metric, released):
    rows = read_annotation_files(released).instructions
    references = [row.answer for row in rows if row.task == "judgement"]
    result = metric.compute(predictions=references, references=references)
    assert [result[name] for name in ("accuracy", "f1", "class_accuracy", "class_accuracy_strict")] == [1.0] * 4
    assert (result["num_rows"], result["num_abnormal"], result["num_with_class"]) == (426, 256, 254)
    assert result["num_unparsable"] == result["num_unparsable_references"] == 0
    always = metric.compute(predictions=["An anomaly exists."] * 426, references=references)
    assert always["f1"] == pytest.approx(2 * 256 / (2 * 256 + 170)) and always["class_accuracy"] == 0.0


@pytest.mark.parametrize(
    ("predictions", "references", "message"),
    [
        ([], [], "Got 0 predictions and 0 references, expected as many of both and at least one"),
        ([NORMAL], [NORMAL, NORMAL], "Got 1 predictions and 2 references, expected as many of both"),
        (None, [NORMAL], "`predictions` must be a list with an entry for each row, got None"),
        ([NORMAL], NORMAL, "`references` must be a list with an entry for each row, got 'No anomaly exists"),
        ([NORMAL, None], [NORMAL, NORMAL], r"predictions\[1\] is None, expected a text"),
        ([NORMAL], [["a", "b"]], r"references\[0\] is \['a', 'b'\], expected a text"),
        ([NORMAL], ["A man walks."], r"Got 1 references of which none states a verdict \('A man walks.'\)"),
    ],
)
def test_refuses(metric, predictions, references, message):
    with pytest.raises(ValueError, match=message) as error:
        metric.compute(predictions=predictions, references=references)
    assert "\n" not in str(error.value)


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "hivau70k_dataset.labels", None)
    spec = importlib.util.spec_from_file_location("judgement_alone", PATH / "judgement.py")
    with pytest.raises(ImportError, match=r"pip install -e"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


def test_the_example_of_the_docstring(module, monkeypatch):
    monkeypatch.chdir(PATH.parents[2])  # it loads "eval/metrics/..."
    test = doctest.DocTestParser().get_doctest(module._KWARGS_DESCRIPTION, {}, "judgement", None, None)
    assert test.examples and doctest.DocTestRunner().run(test).failed == 0
