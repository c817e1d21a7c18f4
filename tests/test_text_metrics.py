"""The text metrics: pycocoevalcap's figures on the released instructions, tables by hand, hard texts, failing Java."""

import doctest
import json
import math
import shutil
import sys
import time
from collections import defaultdict
from pathlib import Path

import evaluate
import numpy as np
import pytest

from eval.answers.protocols import protocols_of_answers
from eval.answers.scores import read_instructions
from tests.original import REFERENCE


METRICS = Path(__file__).parents[1] / "eval" / "metrics"
NAMES = ("bleu", "cider", "meteor", "rouge")
EXPECTED = json.loads((REFERENCE / "text_metrics_shift1.json").read_text(encoding="utf-8"))["scores"]
LEVELS = ("clip", "event", "video")
KEYS = {  # of the tokenizer and the metric, without `per_row` -> with it
    "bleu": ({"bleu_1", "bleu_2", "bleu_3", "bleu_4", "bleu_sum"}, {"statistics"}),
    "cider": ({"cider"}, {"scores"}),
    "meteor": ({"meteor"}, {"scores", "statistics"}),
    "rouge": ({"rouge_l"}, {"scores"}),
}
TEXT = "A man breaks the window of a shop, twice."
OTHER = "The man broke a shop window."
SPACES = [
    "\n",
    "\n\n",
    "\r\n",
    "\r",
    "\t",
    "\v",
    "\f",
    "\x1c",
    "\x1d",
    "\x1e",
    "\x1f",
    "\x85",
    "\xa0",
    "\u2028",
    "\u2029",
]
needs_java = pytest.mark.skipif(shutil.which("java") is None, reason="no Java runtime on the PATH")


@pytest.fixture(scope="module")
def metrics(tmp_path_factory) -> dict[str, evaluate.Metric]:
    cache = str(tmp_path_factory.mktemp("cache"))
    return {name: evaluate.load(str(METRICS / name), cache_dir=cache, keep_in_memory=True) for name in NAMES}


@pytest.fixture(scope="module")
def rows(released) -> dict[str, tuple[list[str], list[str]]]:
    """Of each level, predictions by the rule of the reference file and the released answers."""
    lines = (released / "instruction" / "merge_instruction_test_final.jsonl").read_text(encoding="utf-8").split("\n")
    entries = [json.loads(line) for line in lines if line]
    groups = defaultdict(list)
    for entry in entries:
        groups[entry["type"], entry["task"]].append(entry)
    after = {}
    for group in groups.values():
        after |= {entry["id"]: other["anwser"] for entry, other in zip(group, [*group[1:], group[0]])}
    levels = {level: [entry for entry in entries if entry["type"] == level] for level in LEVELS}
    return {
        level: ([after[entry["id"]] for entry in found], [entry["anwser"] for entry in found])
        for level, found in levels.items()
    }


@pytest.fixture(scope="module")
def nasty(metrics) -> dict[str, dict]:
    """METEOR of texts that its dialogue with pycocoevalcap cannot carry; one run for all, and Java takes its time."""
    texts = {
        **{f"{space!r} {end}": TEXT.replace(" ", space) + end for space in SPACES for end in ("", space)},
        "plain": TEXT,
        "same": OTHER,
        "marks": TEXT.replace("man", "man |||"),
        "pipes": TEXT.replace("man", "man | | |"),  # the PTB tokens of the mark
        "only marks": "|||",
        "empty": "",
        "spaces": " \n ",
        "controls": TEXT.replace(" ", "\x00 \x07"),
        "tag": "<a b='A man",
        "end of tag": "breaks'> the window",
        "command": "EVAL ||| 1.0",
    }
    references = {name: [OTHER] for name in texts}
    references |= {"empty": ["", OTHER], "spaces": [""]}
    result = metrics["meteor"].compute(
        predictions=[*texts.values(), *[OTHER] * 3],
        references=[*references.values(), [""], ["The man\nbroke a\r\nshop window."], ["Nothing.", "\n", OTHER]],
        per_row=True,
    )
    names = [*texts, "empty reference", "reference in lines", "third reference"]
    return {"corpus": result, "scores": dict(zip(names, result["scores"], strict=True))}


@pytest.fixture(scope="module")
def meteor_rows(metrics, rows) -> dict[str, list[list[float]]]:
    """METEOR's statistics of each level, of one run for all."""
    predictions, references = (sum((rows[level][side] for level in LEVELS), []) for side in (0, 1))
    result = metrics["meteor"].compute(predictions=predictions, references=references, per_row=True)
    _check_rows_reproduce_the_corpus(metrics["meteor"], "meteor", result)
    statistics = iter(result["statistics"])
    return {level: [next(statistics) for _ in rows[level][0]] for level in LEVELS}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("tokenizer", [pytest.param("ptb", marks=needs_java), "whitespace"])
def test_reproduces_the_reference(metrics, rows, level, tokenizer):
    predictions, references = rows[level]
    expected = EXPECTED[level]["ptb_tokenized" if tokenizer == "ptb" else "raw_whitespace"]
    assert len(predictions) == len(references) == EXPECTED[level]["rows"]
    for name in ("bleu", "cider", "rouge"):
        result = metrics[name].compute(
            predictions=predictions, references=references, tokenizer=tokenizer, per_row=True
        )
        assert (result["tokenizer"], result["num_rows"]) == (tokenizer, len(predictions))
        _check_rows_reproduce_the_corpus(metrics[name], name, result)
        for key in KEYS[name][0]:
            assert result[key] == pytest.approx(expected[key], abs=1e-6), key


@needs_java
@pytest.mark.parametrize("level", LEVELS)
def test_reproduces_meteor(metrics, meteor_rows, level):
    found = metrics["meteor"].from_statistics(meteor_rows[level])
    assert found["meteor"] == pytest.approx(EXPECTED[level]["ptb_tokenized"]["meteor"], abs=1e-4)


@pytest.mark.parametrize("tokenizer", [pytest.param("ptb", marks=needs_java), "whitespace"])
def test_the_pooled_protocol_is_the_reference(released, rows, tokenizer):
    """And the others are not: the same answers, four figures."""
    instructions, answers = read_instructions(str(released), "test"), {level: iter(rows[level][0]) for level in LEVELS}
    shifted = [next(answers[row.level]) for row in instructions]
    metrics = NAMES if tokenizer == "ptb" else ("bleu", "cider", "rouge")
    found = protocols_of_answers(instructions, {"shifted": shifted}, metrics, tokenizer)
    for level in LEVELS:
        expected = EXPECTED[level]["ptb_tokenized" if tokenizer == "ptb" else "raw_whitespace"]
        for column, figures in found[level]["scores"]["shifted"].items():
            tolerance = 1e-4 if column == "meteor" else 1e-6
            assert figures["pooled"] == pytest.approx(expected[column], abs=tolerance), (level, column)
            assert figures["task_mean"] == figures["task_mean_nonzero"]
            other = "deduplicated" if level == "clip" else "task_mean"
            assert abs(figures[other] - figures["pooled"]) > 1e-3, (level, column)
    assert [found[level]["rows_deduplicated"] for level in LEVELS] == [943, 734, 398]


def _check_rows_reproduce_the_corpus(metric, name, result):
    of_corpus, of_rows = KEYS[name]
    for key in of_rows:
        assert len(result[key]) == result["num_rows"]
    if "statistics" in of_rows:
        statistics = np.array(result["statistics"])
        assert metric.from_statistics(statistics) == {key: result[key] for key in of_corpus}
        shuffled = metric.from_statistics(statistics[::-1])
        assert shuffled == pytest.approx({key: result[key] for key in of_corpus}, abs=1e-12)
    if name == "meteor":
        singles = [metric.from_statistics([row])["meteor"] for row in result["statistics"]]
        assert singles == pytest.approx(result["scores"], abs=1e-12)
    elif "scores" in of_rows:
        assert np.mean(result["scores"]) == pytest.approx(result[min(of_corpus)], abs=1e-12)


@pytest.mark.parametrize(
    ("prediction", "references", "statistics", "scores"),
    [
        (
            "the cat sat on the mat",
            ["the cat is on the mat"],
            [5, 3, 1, 0, 6, 5, 4, 3, 6, 6],
            [5 / 6, math.sqrt(5 / 6 * 3 / 5), (5 / 6 * 3 / 5 * 1 / 4) ** (1 / 3), 0.0],
        ),
        ("a b c d", ["a b c d"], [4, 3, 2, 1, 4, 3, 2, 1, 4, 4], [1.0] * 4),
        ("the the the", ["the cat"], [1, 0, 0, 0, 3, 2, 1, 0, 3, 2], [1 / 3, 0.0, 0.0, None]),  # counts are clipped
        ("a b", ["a b c d"], [2, 1, 0, 0, 2, 1, 0, 0, 2, 4], [math.exp(-1), math.exp(-1), None, None]),  # too short
        ("a b c", ["a b", "a b c d"], [3, 2, 1, 0, 3, 2, 1, 0, 3, 2], [1.0, 1.0, 1.0, None]),  # as close: the shorter
        ("a c", ["a b", "b c"], [2, 0, 0, 0, 2, 1, 0, 0, 2, 2], [1.0, 0.0, None, None]),  # words of either
        ("", ["a b"], [0, 0, 0, 0, 0, 0, 0, 0, 0, 2], [0.0] * 4),
    ],
)
def test_bleu_by_hand(metrics, prediction, references, statistics, scores):
    result = metrics["bleu"].compute(
        predictions=[prediction], references=[references], tokenizer="whitespace", per_row=True
    )
    assert result["statistics"] == [statistics]
    for order, score in enumerate(scores, 1):
        if score is not None:  # of an order without n-grams it hangs on pycocoevalcap's small constants
            assert result[f"bleu_{order}"] == pytest.approx(score, abs=1e-3 if score == 0 else 1e-6)
    assert result["bleu_sum"] == pytest.approx(sum(result[f"bleu_{order}"] for order in range(1, 5)))


def test_bleu_of_a_resample(metrics):
    rng = np.random.default_rng(0)
    words = np.array(["a", "b"])
    predictions = [" ".join(rng.choice(words, rng.integers(4, 12))) for _ in range(30)]
    references = [
        [" ".join(rng.choice(words, rng.integers(4, 12))) for _ in range(rng.integers(1, 4))] for _ in range(30)
    ]
    bleu = metrics["bleu"]
    whole = bleu.compute(predictions=predictions, references=references, tokenizer="whitespace", per_row=True)
    chosen = rng.integers(30, size=30)
    again = bleu.compute(
        predictions=[predictions[i] for i in chosen],
        references=[references[i] for i in chosen],
        tokenizer="whitespace",
    )
    found = bleu.from_statistics(np.array(whole["statistics"])[chosen])
    assert found == {key: again[key] for key in KEYS["bleu"][0]} and found["bleu_4"] > 0.01


def test_cider_by_hand(metrics):
    def cider(predictions, references):
        return metrics["cider"].compute(
            predictions=predictions, references=references, tokenizer="whitespace", per_row=True
        )

    result = cider(["a b c d", "x"], ["a b c d", "y"])
    assert result["scores"] == pytest.approx([10.0, 0.0]) and result["cider"] == pytest.approx(5.0)
    # One word and one pair more: cosines of orders 1 and 2, no longer n-gram, a penalty for one pair more
    cosines = 2 / math.sqrt(3 * 2) + 1 / math.sqrt(2)
    expected = 10 * cosines / 4 * math.exp(-1 / (2 * 6.0**2))
    assert cider(["a b x", "y"], ["a b", "z"])["scores"] == pytest.approx([expected, 0.0])
    assert cider(["a b x", "y"], [["a b", "q r"], "z"])["scores"] == pytest.approx([expected / 2, 0.0])  # their mean
    assert cider(["a", "a"], ["a", "a b"])["scores"] == pytest.approx([0.0, 0.0])  # a word of every row counts nothing
    assert cider(["a b c d"], ["a b c d"])["scores"] == [0.0]  # as every word does with a single row
    with pytest.raises(ValueError, match="No reference holds a word"):
        cider(["a", "b"], ["", " "])


@pytest.mark.parametrize(
    ("prediction", "references", "score"),
    [
        ("a b c d", ["a c d e f"], 2.44 * 0.75 * 0.6 / (0.6 + 1.44 * 0.75)),
        ("a b c d", ["a b c d"], 1.0),
        ("a b", ["c d"], 0.0),
        ("a b", ["b a"], 0.5),
        ("a b c d", ["a", "a b c d e f g h"], 2.44 * 1.0 * 1.0 / (1.0 + 1.44 * 1.0)),  # the best of each
        ("", ["a"], 0.0),
        ("", [""], 1.0),
    ],
)
def test_rouge_by_hand(metrics, prediction, references, score):
    result = metrics["rouge"].compute(
        predictions=[prediction, "a"], references=[references, "b"], tokenizer="whitespace", per_row=True
    )
    assert result["scores"] == pytest.approx([score, 0.0]) and result["rouge_l"] == pytest.approx(score / 2)


def test_meteor_formula_by_hand(metrics):
    # "a man walks" and "a man runs fast": "man" and the function word "a" match, in one chunk
    row = [3, 4, 1, 1, *[1, 1, 1, 1], *[0] * 12, 1, 2, 2]
    precision, recall = (0.75 + 0.25) / (0.75 * 2 + 0.25), (0.75 + 0.25) / (0.75 * 3 + 0.25)
    expected = 1 / (0.15 / precision + 0.85 / recall) * (1 - 0.6 * (1 / 2) ** 0.2)
    meteor = metrics["meteor"].from_statistics
    assert meteor([row])["meteor"] == pytest.approx(expected)
    same = [2, 2, 0, 0, *[2, 2, 0, 0], *[0] * 12, 0, 2, 2]  # from end to end: no chunk
    nothing = [2, 2, 0, 0, *[0] * 16, 0, 0, 0]
    assert meteor([same])["meteor"] == meteor([same, same])["meteor"] == 1.0 and meteor([nothing])["meteor"] == 0.0
    # 1 chunk in 4 words
    precision, recall = (0.75 * 3 + 0.25) / (0.75 * 4 + 0.25), (0.75 * 3 + 0.25) / (0.75 * 5 + 0.25)
    expected = 1 / (0.15 / precision + 0.85 / recall) * (1 - 0.6 * (1 / 4) ** 0.2)
    assert meteor([row, same])["meteor"] == pytest.approx(expected)


@needs_java
def test_meteor_survives_any_text(metrics, nasty):
    scores, plain = nasty["scores"], nasty["scores"]["plain"]
    assert 0.2 < plain < 1
    for space in SPACES:
        assert scores[f"{space!r} "] == scores[f"{space!r} {space}"] == plain
    assert 0 < scores["marks"] == scores["pipes"] < plain == scores["controls"]
    chunks = dict(zip(scores, np.array(nasty["corpus"]["statistics"])[:, 20]))
    assert chunks["same"] == chunks["third reference"] == 0 and chunks["plain"] > 0
    assert scores["same"] == scores["reference in lines"] == scores["third reference"] == 1.0
    for name in ("empty", "spaces", "only marks", "empty reference", "command"):
        assert scores[name] == 0.0
    assert 0 < scores["tag"] < 1 and 0 < scores["end of tag"] < 1
    _check_rows_reproduce_the_corpus(metrics["meteor"], "meteor", nasty["corpus"])
    assert nasty["corpus"]["num_rows"] == len(scores)


@needs_java
def test_ptb_keeps_rows_apart(metrics):
    """pycocoevalcap loses rows where a text holds a line break other than `\\n`."""
    predictions = [f"A man{space}walks." for space in SPACES] + ["", "Nothing?", ""]
    references = ["a man walks"] * len(SPACES) + ["a", ["Nothing!", "\r"], "b"]
    result = metrics["rouge"].compute(predictions=predictions, references=references, per_row=True)
    assert result["scores"] == [1.0] * len(SPACES) + [0.0, 1.0, 0.0] and result["tokenizer"] == "ptb"
    counts = metrics["bleu"].compute(predictions=["Ça (ira), U.S.: “ok”!"], references=["ça ira"], per_row=True)
    assert counts["statistics"][0][0] == 2  # of other alphabets too, whatever the locale


@needs_java
def test_meteor_of_untokenised_texts(metrics):
    predictions, references = (
        ["A MAN,\nwalking", "a man|||, walking |||"],
        ["a man , walking", ["|||", "a man |||, walking"]],
    )
    result = metrics["meteor"].compute(predictions=predictions, references=references, tokenizer="whitespace")
    assert result == {"meteor": 1.0, "tokenizer": "whitespace", "num_rows": 2}


@pytest.mark.parametrize("name", ["bleu", "cider", "rouge"])
def test_keys(metrics, name):
    metric, (of_corpus, of_rows) = metrics[name], KEYS[name]
    metric.add(prediction="a b", reference="a b")
    metric.add_batch(predictions=["c", "d e"], references=[["c", "d"], "e"])
    result = metric.compute(tokenizer="whitespace")
    assert result.keys() == of_corpus | {"tokenizer", "num_rows"} and result["num_rows"] == 3
    assert of_rows and json.loads(json.dumps(result)) == result


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("predictions", "references", "message"),
    [
        ([], [], "Got no rows, expected at least one"),
        (["a", "b"], ["a"], "Got 2 predictions and 1 rows of references"),
        ([], ["a"], "Got 0 predictions and 1 rows"),
        (["a", "b"], ["a", []], r"references\[1\] is empty, expected at least one text"),
        (["a", None], ["a", "b"], r"predictions\[1\] must be a text, got None"),
        (["a", ["b"]], ["a", "b"], r"predictions\[1\] must be a text, got \['b'\]"),
        (["a"], [None], r"references\[0\] must be a text or a list of texts, got None"),
        (["a"], [["a", 7]], r"references\[0\] must be a text or a list of texts, got \['a', 7\]"),
        ("a", ["a"], "`predictions` must be a list with an entry for each row, got 'a'"),
        (["a"], None, "`references` must be a list with an entry for each row, got None"),
    ],
)
def test_refuses_rows(metrics, name, predictions, references, message):
    with pytest.raises(ValueError, match=message) as error:
        metrics[name].compute(predictions=predictions, references=references)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["bleu", "cider", "rouge"])
def test_refuses_other_tokenizers(metrics, name):
    with pytest.raises(ValueError, match="`tokenizer` must be 'ptb' or 'whitespace', got 'moses'"):
        metrics[name].compute(predictions=["a"], references=["a"], tokenizer="moses")
    assert metrics[name].compute(predictions=["a"], references=["a"], tokenizer="whitespace")["num_rows"] == 1


@pytest.mark.parametrize("name", NAMES)
def test_without_java(metrics, name, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    wanted = "METEOR" if name == "meteor" else "PTB tokenisation"
    for tokenizer in ("ptb", "whitespace") if name == "meteor" else ("ptb",):
        with pytest.raises(ImportError, match=f"^{wanted} needs Java.* default-jre-headless") as error:
            metrics[name].compute(predictions=["a"], references=["a"], tokenizer=tokenizer)
        assert "\n" not in str(error.value)
        assert ('pass tokenizer="whitespace"' in str(error.value)) == (name != "meteor")
    if name != "meteor":
        assert metrics[name].compute(predictions=["a"], references=["a"], tokenizer="whitespace")["num_rows"] == 1


def stand_in_for_java(folder, script, monkeypatch):
    java = folder / "java"
    java.write_text(f"#!/bin/sh\n{script}\n")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for Java is a shell script")
@pytest.mark.parametrize("name", ["bleu", "meteor"])
@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo Error: no heap >&2; exit 1", r": Java ended with code 1 \(Error: no heap\)"),
        ("kill -9 $$", r": Java ended with code -9 \(it gave no reason\)"),
        ("exit 0", r": Java gave \d lines for 2 (texts|rows). Check that `java -version` works"),
    ],
)
def test_a_java_that_fails(metrics, name, script, message, monkeypatch, tmp_path):
    stand_in_for_java(tmp_path, script, monkeypatch)
    with pytest.raises(RuntimeError, match=message) as error:
        metrics[name].compute(
            predictions=["a", "b"], references=["a", "b"], tokenizer="whitespace" if name == "meteor" else "ptb"
        )
    assert "\n" not in str(error.value)


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for Java is a shell script")
@pytest.mark.parametrize("script", ["exec sleep 30", "sleep 30; true"])  # the child of the second outlives it
def test_a_java_that_hangs(metrics, script, monkeypatch, tmp_path):
    stand_in_for_java(tmp_path, script, monkeypatch)
    texts = sys.modules[sys.modules[type(metrics["bleu"]).__module__].tokenize.__module__]
    start = time.monotonic()
    with pytest.raises(RuntimeError, match="^PTB: Java took longer than 0.3 s for 2 texts and was stopped") as error:
        texts.run_java("PTB", ["-version"], {}, num_texts=2, timeout_s=0.3)
    assert time.monotonic() - start < 20 and "\n" not in str(error.value)


def test_without_pycocoevalcap(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pycocoevalcap", None)
    with pytest.raises(ImportError, match="pip install pycocoevalcap"):
        evaluate.load(str(METRICS / "cider"), cache_dir=str(tmp_path))


def test_each_folder_stands_alone(monkeypatch, tmp_path):
    assert len({(METRICS / name / "texts.py").read_bytes() for name in NAMES}) == 1
    shutil.copytree(METRICS / "rouge", tmp_path / "elsewhere" / "rouge")
    monkeypatch.chdir(tmp_path)
    metric = evaluate.load("elsewhere/rouge", cache_dir=str(tmp_path / "cache"))
    assert metric.compute(predictions=["a"], references=["a"], tokenizer="whitespace")["rouge_l"] == 1.0


@needs_java
@pytest.mark.parametrize("name", NAMES)
def test_the_examples_of_the_docstrings(metrics, name, monkeypatch):
    monkeypatch.chdir(METRICS.parents[1])  # they load "eval/metrics/..."
    test = doctest.DocTestParser().get_doctest(metrics[name].inputs_description, {}, name, None, None)
    assert test.examples and doctest.DocTestRunner().run(test).failed == 0
