"""The metric of judgements: verdicts and classes by hand, the released judgements, what it refuses."""

import doctest
import importlib.util
import sys
from pathlib import Path

import evaluate
import numpy as np
import pytest

from hivau70k_dataset.reading import read_annotation_files


PATH = Path(__file__).parents[1] / "eval" / "metrics" / "judgement"
SHOOTING = "An anomaly exists, specifically a Shooting anomaly."
BOTH = "An anomaly exists, specifically a Shooting and Car Accident anomaly."
NAMELESS = "Two anomaly events exist in the video."
NORMAL = "No anomaly exists in the video."


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


@pytest.mark.parametrize(
    "answer",
    [
        "I can't see any anomaly.",
        "I cannot see any anomaly in the video.",
        "The video doesn’t show any anomaly.",
        "There isn’t anything unusual.",
        "I didn’t see a fight",
        "I have not detected any anomalies.",
        "I've not seen a robbery.",
        "It’s not an anomaly.",
        "It should not be considered an anomaly.",
        "The video never shows an anomaly.",
        "Neither a fight nor a robbery takes place.",
        "The video is free of anomalies.",
        "The video lacks any abnormal events.",
        "Anomalies are absent.",
        "No doubt, nothing unusual happens.",
        "Anomaly detected: No",
        "**Anomaly detected:** No\n\nPeople walk by.",
        "Anomaly: No - people walk by.",
        '{"anomaly": false}',
        "Anomalies: None.",
        "Anomalies: none detected.",
        "Anomaly: not present",
        "Anomalies: No unusual events were seen.",
        "Is there an anomaly? No.",
        "Is there an anomaly?\n\n**No**",
        "Is there a fight? I can't see one.",
        "Question: Is there an anomaly? Answer: No.",
        "It is not out of the ordinary.",
        "The video does not differ from normal traffic.",
        "I see nothing that is not normal.",
        "Anomalies have not been detected.",
        "An anomaly was never observed.",
        "The queue is not unusual as it is normal for cars to wait there.",
        "The crowd is not alarmed as this is normal.",
        "Yes, there is no anomaly.",
    ],
)
def test_denials(module, answer):
    assert module.read_answer(answer) == module.Judgement(False)


@pytest.mark.parametrize(
    "answer",
    [
        "The footage does not appear to be normal",
        "It cannot be called normal.",
        "It can’t be considered entirely normal.",
        "I don't think this is normal.",
        "This is not an ordinary day.",
        "No doubt, a robbery takes place.",
        "Without a doubt, this is a robbery.",
        "The video is not only unusual but violent.",
        "Is there an anomaly? Yes.",
        "Is there an anomaly? Yes, a fight.",
        "Anomaly detected: Yes",
        "Anomaly: yes, a man without a mask.",
        "An anomaly exists: no one helps the man.",
        "An anomaly exists: a car that should not be there.",
        "An anomaly exists, no doubt.",
        "The video shows an abnormal event that should not happen in a parking lot.",
        "Yes, the video contains an anomaly that wouldn't be expected in a store.",
        "An unusual event occurs, which shouldn’t happen on a highway.",
        "Yes, an explosion occurs that would not normally happen.",
        "Yes, a man who hasn't paid leaves the store, shoplifting.",
        "An anomaly exists, specifically a Shooting anomaly, and the victim never moves again.",
        "A car accident occurs because the driver has not seen the motorcycle.",
        "Yes, the driver loses control due to lack of visibility, causing a traffic accident.",
        "Yes. A man who should not be there breaks into a car.",
        "Yes, an anomaly is present: not only fighting but also vandalism.",
        "An anomaly exists: not stopping at the red light, a car hits a cyclist.",
        "Yes, there is an anomaly: none of the cars stop and one crashes.",
        "Anomaly type: Not specified, but someone is robbed",
        "An anomaly occurs: false alarm triggers people to panic.",
        "Yes, is it a robbery? It seems to be.",
        "Anomaly: Shooting. The clerk cannot flee.",
    ],
)
def test_words_of_denials_that_deny_nothing(module, answer):
    assert module.read_answer(answer).abnormal is True


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
