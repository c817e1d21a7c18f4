"""Scoring answers in words: values by hand and by brute force, blind baselines, intervals, what a mistake says."""

import io
import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from eval import reasoning
from eval.answers import report as reasoning_report
from eval.answers import scores as reasoning_scores
from eval.answers.baselines import first_of_each, most_frequent, pools_of, shuffled
from eval.answers.report import draw_weights, load_metric, measure, video_groups, with_interval
from eval.answers.scores import read_instructions
from hivau70k_dataset.schema import Instruction
from tests.annotations import released_row, write_json, write_lines


NEEDS_JAVA = pytest.mark.skipif(shutil.which("java") is None, reason="no java on the PATH")
FAST = ["--tokenizer", "whitespace", "--metrics", "bleu", "cider", "rouge", "judgement"]
BURNS, RUNS, CALM = "a bin burns in the street", "a man runs to the bin", "people wait for a bus"
ARSON, NONE = "An anomaly exists, specifically an Arson anomaly.", "No anomaly exists in the video."


def row(video: str, answer: str, task: str = "caption", level: str = "clip", **changes) -> dict:
    path = f"ucf-crime/{level}s/test/{video}{ {'clip': '_E0C0', 'event': '_E0', 'video': ''}[level] }.mp4"
    return released_row(type=level, task=task, video=path, anwser=answer, **changes)


ROWS = [
    row("a", BURNS),
    row("a", BURNS, prompt="What happens?"),  # the same clip again
    row("b", RUNS),
    row("c", CALM),
    row("a", ARSON, "judgement", "event"),
    row("b", ARSON, "judgement", "event"),
    row("c", NONE, "judgement", "event"),
    row("a", "a man lights a bin", "description", "event"),
    row("b", "a man lights a car", "description", "event"),
    row("c", "nothing out of the ordinary", "description", "event"),
]
ANSWERS = [BURNS, RUNS, RUNS, "people", ARSON, "A man walks.", ARSON, "a man lights a bin", "a car", "nothing"]


@pytest.fixture
def annotations(tmp_path) -> Path:
    rows = [{**fields, "id": place} for place, fields in enumerate(ROWS)]
    write_lines(tmp_path / "annotations" / "instruction" / "merge_instruction_test_final.jsonl", rows)
    return tmp_path / "annotations"


def line(place: int, prediction: str | None, **changes) -> dict:
    fields = ROWS[place]
    named = {"row": place, "id": str(place), "level": fields["type"], "task": fields["task"], "video": fields["video"]}
    texts = {"turn": 0, "question": fields["prompt"], "reference": fields["anwser"], "prediction": prediction}
    return {**named, **texts, **changes}


@pytest.fixture
def predictions(tmp_path) -> Path:
    return write_lines(tmp_path / "predictions.jsonl", [line(place, text) for place, text in enumerate(ANSWERS)])


def score(tmp_path: Path, *options: str | Path, status: int = 0) -> dict | None:
    """Run; the report."""
    output = tmp_path / f"report{len(list(tmp_path.iterdir()))}"
    assert reasoning.main(["score", "--output", str(output), *map(str, options)]) == status
    return json.loads((output / "report.json").read_text()) if status == 0 else None


@pytest.fixture
def no_pictures(monkeypatch):
    monkeypatch.setattr(reasoning_report, "draw", lambda report: b"")


def pool_of(report: dict, level: str, task: str | None = None, duplicates: bool = True) -> dict:
    same = {"level": level, "task": task, "duplicates": duplicates}
    (found,) = [pool for pool in report["pools"] if same.items() <= pool.items()]
    return found


def value(pool: dict, system: str, column: str) -> float:
    return pool["scores"][system][column]["value"]


# ---- figures --------------------------------------------------------------------------------------------------------


def test_figures_are_those_of_the_metrics(tmp_path, predictions, annotations, no_pictures):
    report = score(tmp_path, "--predictions", predictions, "--annotations", annotations, "--bootstrap", "50", *FAST)
    texts = [fields["anwser"] for fields in ROWS]
    metrics = {name: load_metric(name) for name in ("bleu", "cider", "rouge")}
    for level, task, duplicates, places in (
        ("clip", None, True, [0, 1, 2, 3]),
        ("clip", None, False, [0, 2, 3]),
        ("event", None, True, [4, 5, 6, 7, 8, 9]),
        ("event", "judgement", True, [4, 5, 6]),
        ("event", "description", True, [7, 8, 9]),
    ):
        pool = pool_of(report, level, task, duplicates)
        assert (pool["rows"], pool["videos"]) == (len(places), 3)
        pairs = {"predictions": [ANSWERS[i] for i in places], "references": [texts[i] for i in places]}
        for metric in metrics.values():
            expected = metric.compute(**pairs, tokenizer="whitespace")
            for column in expected.keys() - {"tokenizer", "num_rows"}:
                assert value(pool, "model", column) == pytest.approx(expected[column], abs=1e-12), (level, column)
    assert len(report["pools"]) == 5 and (report["rows"], report["videos"], report["missing"]) == (10, 3, 0)
    clips = pool_of(report, "clip")  # by hand: 6, 6, 6 and 1 word, of 22; all but those of row 1 are right
    right = 6 + len({"a", "the", "bin"} & set(BURNS.split())) + 6 + 1
    assert value(clips, "model", "bleu_1") == pytest.approx(right / 19 * np.exp(1 - 23 / 19), abs=1e-6)


def test_judgements_by_hand(tmp_path, predictions, no_pictures):
    (judged,) = score(tmp_path, "--predictions", predictions, *FAST)["judgements"]
    figures = {column: figure["value"] for column, figure in judged["scores"]["model"].items()}
    assert figures == {
        "accuracy": 1 / 3,
        "precision": 1 / 2,
        "recall": 1 / 2,
        "f1": 1 / 2,
        "class_accuracy": 1 / 2,
        "class_accuracy_strict": 1 / 2,
        "unparsable": 1 / 3,
    }
    frequent = judged["scores"]["most frequent"]  # always arson
    assert (frequent["accuracy"]["value"], frequent["recall"]["value"]) == (2 / 3, 1.0)


def test_intervals_equal_brute_force(annotations):
    instructions = read_instructions(str(annotations), "test")
    metric = load_metric("bleu")
    texts = {"predictions": ANSWERS, "references": [row.answer for row in instructions]}
    table = np.array(metric.compute(**texts, tokenizer="whitespace", per_row=True)["statistics"], dtype=float)
    groups = video_groups(instructions)
    assert groups.tolist() == [0, 0, 1, 2, 0, 1, 2, 0, 1, 2]
    weights = draw_weights(3, 40, seed=3)
    assert weights.sum(axis=1).tolist() == [3.0] * 40
    statistic = reasoning_report.Statistic(table, reasoning_report.from_sums(metric))
    points, resampled = measure([statistic], groups, weights)
    for weight, bleu in zip(weights.astype(int), resampled["bleu_sum"]):
        drawn = np.repeat(table, weight[groups], axis=0)  # a video is drawn with all its rows
        assert bleu == pytest.approx(metric.from_statistics(drawn)["bleu_sum"], abs=1e-12)
    figure = with_interval(points["bleu_sum"], resampled["bleu_sum"])
    assert (figure["low"], figure["high"]) == tuple(np.percentile(resampled["bleu_sum"], (2.5, 97.5)))


def test_intervals_depend_on_the_seed_alone_and_hold_the_figure(tmp_path, predictions, no_pictures):
    options = ["--predictions", predictions, *FAST, "--bootstrap", "200"]
    first, again, other = (score(tmp_path, *options, "--seed", seed) for seed in ("4", "4", "5"))
    assert first == again
    assert first["pools"][0]["scores"]["model"] != other["pools"][0]["scores"]["model"]
    for pool in (*first["pools"], *first["judgements"]):
        for figure in pool["scores"]["model"].values():
            assert figure["low"] <= figure["value"] <= figure["high"]
        for name, difference in pool["differences"].items():
            for column, figure in difference.items():
                if figure["value"] is not None:
                    assert figure["value"] == pytest.approx(value(pool, "model", column) - value(pool, name, column))
    assert "[" not in re.sub(r"- .*", "", reasoning_report.markdown(score(tmp_path, *options, "--bootstrap", "0")))


def test_one_video_has_no_interval(tmp_path, no_pictures):
    path = write_lines(tmp_path / "one.jsonl", [line(0, BURNS), line(1, BURNS)])
    figure = score(tmp_path, "--predictions", path, *FAST)["pools"][0]["scores"]["model"]["bleu_1"]
    assert figure["value"] == pytest.approx(1.0) and figure["low"] is figure["high"] is None


def test_a_rival_is_scored_on_the_same_rows_and_resamples(tmp_path, predictions, no_pictures, capsys):
    rival = write_lines(tmp_path / "rival.jsonl", [line(place, RUNS) for place in range(10)])
    options = ["--bootstrap", "60", *FAST]
    both = score(tmp_path, "--predictions", predictions, "--against", rival, *options)
    assert "| model less rival |" in capsys.readouterr().out
    alone, other = (score(tmp_path, "--predictions", path, *options) for path in (predictions, rival))
    for pool, own, others in zip(both["pools"], alone["pools"], other["pools"]):
        assert pool["scores"]["model"] == own["scores"]["model"]
        assert pool["scores"]["rival"] == others["scores"]["model"]
        assert list(pool["scores"]) == ["model", "rival", "most frequent", "shuffled"]
        assert list(pool["differences"]) == ["rival", "most frequent", "shuffled"]
        for column, figure in pool["differences"]["rival"].items():
            assert figure["value"] == pytest.approx(value(own, "model", column) - value(others, "model", column))
    same = score(tmp_path, "--predictions", predictions, "--against", predictions, *options)
    nothing = {"value": 0.0, "low": 0.0, "high": 0.0}
    assert all(figure == nothing for figure in same["pools"][0]["differences"]["rival"].values())  # in every resample
    write_lines(rival, [line(0, RUNS)])
    score(tmp_path, "--predictions", predictions, "--against", rival, *options, status=1)
    assert f"--against {rival}: 9 of 10 rows have no answer there, the first is row 1" in capsys.readouterr().err
    few = score(tmp_path, "--predictions", predictions, "--against", rival, *options, "--allow_missing")
    assert few["options"]["missing of the rival"] == 9
    assert value(few["pools"][0], "rival", "rouge_l") < value(few["pools"][0], "model", "rouge_l")
    write_lines(rival, [{**line(0, RUNS), "reference": "Something else."}])
    score(tmp_path, "--predictions", predictions, "--against", rival, *options, status=1)
    assert "1 of 10 rows have another reference there" in capsys.readouterr().err


@NEEDS_JAVA
def test_meteor_and_ptb_tokens_are_those_of_the_metrics(tmp_path, no_pictures, monkeypatch):
    rows = [line(0, f"{BURNS.upper()}!"), line(2, "A man, walking."), line(3, CALM), line(7, "a man lights a bin")]
    path = write_lines(tmp_path / "predictions.jsonl", rows)
    loaded, counted = {}, {}

    def load(name: str):
        metric = loaded[name] = load_metric(name)
        compute = metric.compute
        metric.compute = lambda **texts: counted.setdefault(name, [texts, compute(**texts)])[1]
        return metric

    monkeypatch.setattr(reasoning_report, "load_metric", load)
    report = score(tmp_path, "--predictions", path, "--metrics", "meteor", "bleu", "--bootstrap", "20")
    clips, event = pool_of(report, "clip"), pool_of(report, "event")
    texts, result = counted["meteor"]
    pairs = list(zip(texts["predictions"], texts["references"]))
    chosen = [pairs.index(pair) for pair in ((BURNS, BURNS), ("a man walking", RUNS), (CALM, CALM))]
    expected = loaded["meteor"].from_statistics([result["statistics"][place] for place in chosen])["meteor"]
    assert value(clips, "model", "meteor") == pytest.approx(expected, abs=1e-12) and 0.4 < expected < 1
    assert value(event, "model", "meteor") == pytest.approx(1.0)
    raw = {"predictions": [r["prediction"] for r in rows[:3]], "references": [r["reference"] for r in rows[:3]]}
    bleu = load_metric("bleu").compute(**raw, tokenizer="ptb")
    assert value(clips, "model", "bleu_4") == pytest.approx(bleu["bleu_4"], abs=1e-12)
    assert not report["judgements"] and "cider" not in clips["scores"]["model"]


# ---- baselines ------------------------------------------------------------------------------------------------------


def clip(video: str, answer: str, task: str = "caption") -> Instruction:
    return Instruction("0", "clip", task, f"ucf-crime/clips/test/{video}_E0C0.mp4", "?", answer)


def test_most_frequent_answer():
    rows = [clip("a", "x"), clip("b", "y"), clip("c", "y"), clip("d", "x"), clip("e", "z", "analysis")]
    assert most_frequent(rows) == ["x", "x", "x", "x", "z"]  # x and y twice: the first
    assert most_frequent(rows[1:]) == ["y", "y", "y", "z"]


@pytest.mark.parametrize("seed", range(20))
def test_shuffled_is_never_of_the_same_segment(seed):
    sizes = np.random.default_rng(seed).integers(1, 6, 7)
    rows = [clip(f"v{video}", f"{video} {i}") for video, size in enumerate(sizes) for i in range(size)]
    rows = [rows[place] for place in np.random.default_rng(seed).permutation(len(rows))]
    answers = shuffled(rows, seed)
    assert sorted(answers) == sorted(row.answer for row in rows)  # each once
    assert not any(given.split()[0] == row.answer.split()[0] for given, row in zip(answers, rows))
    assert answers == shuffled(rows, seed) and answers != shuffled(rows, seed + 1)


def test_shuffled_of_few_rows():
    assert shuffled([clip("a", "x"), clip("b", "y", "analysis")], 0) == ["", ""]  # there is no other
    assert shuffled([clip("a", "x"), clip("a", "y")], 0) == ["y", "x"]  # of the same segment, yet not the own row
    uneven = [clip("a", str(i)) for i in range(5)] + [clip("b", "b")]
    for seed in range(5):
        assert all(given != row.answer for given, row in zip(shuffled(uneven, seed), uneven))


def test_rows_of_pools(annotations):
    rows = read_instructions(str(annotations), "test")
    assert first_of_each(rows) == [0, 2, 3, 4, 5, 6, 7, 8, 9]
    pools = [(pool.level, pool.task, pool.rows) for pool in pools_of(rows, list(range(10)), True)]
    assert pools == [
        ("clip", None, [0, 1, 2, 3]),
        ("event", None, [4, 5, 6, 7, 8, 9]),
        ("event", "judgement", [4, 5, 6]),
        ("event", "description", [7, 8, 9]),
    ]


def test_baselines_alone_print_and_write_nothing(tmp_path, annotations, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    argv = ["score", "--baselines_only", "--annotations", str(annotations), "--bootstrap", "20", *FAST]
    assert reasoning.main(argv) == 0
    said = capsys.readouterr().out
    assert "| all, 4 | most frequent |" in said and "shuffled" in said and "**model**" not in said
    assert sorted(tmp_path.rglob("*")) == before


def test_blind_baselines_of_the_released_test_file(tmp_path, released, no_pictures):
    metrics = ["--metrics", "cider", "judgement", "--bootstrap", "100"]
    tokenizer = "ptb" if shutil.which("java") else "whitespace"
    options = ["--baselines_only", "--annotations", released, *metrics, "--tokenizer", tokenizer]
    report = score(tmp_path, *options)
    assert [pool_of(report, "clip", duplicates=again)["rows"] for again in (True, False)] == [2207, 943]
    assert [pool_of(report, level)["rows"] for level in ("event", "video")] == [734, 398]
    assert report["videos"] == 150 and len(report["pools"]) == 10
    event, video = (pool_of(report, level)["scores"]["most frequent"]["cider"] for level in ("event", "video"))
    if tokenizer == "ptb":
        assert event["value"] == pytest.approx(1.019, abs=5e-4) and video["value"] == pytest.approx(1.196, abs=5e-4)
    for figure in (event, video):
        assert 0.7 < figure["low"] < figure["value"] < figure["high"] < 1.7
    assert [judged["rows"] for judged in report["judgements"]] == [276, 150]


# ---- what is missing or wrong ---------------------------------------------------------------------------------------


def test_missing_answers(tmp_path, annotations, capsys, no_pictures):
    path = write_lines(tmp_path / "some.jsonl", [line(2, RUNS), line(0, BURNS), line(3, None)])
    score(tmp_path, "--predictions", path, "--annotations", annotations, *FAST, status=1)
    said = capsys.readouterr().err
    assert "8 of 10 answers are missing, the first of row 1; run `predict` again" in said and said.count("\n") == 1
    report = score(tmp_path, "--predictions", path, "--annotations", annotations, "--allow_missing", *FAST)
    assert report["missing"] == 8 and "**missing: 8 answers, scored as empty ones**" in capsys.readouterr().out
    clips = pool_of(report, "clip")
    assert value(clips, "model", "rouge_l") == pytest.approx(2 / 4)
    assert report["judgements"][0]["scores"]["model"]["unparsable"]["value"] == 1.0
    score(tmp_path, "--predictions", path, *FAST, status=1)
    assert "1 of 3 answers are missing, the first of row 3" in capsys.readouterr().err
    write_lines(path, [line(2, RUNS), line(0, BURNS)])
    assert score(tmp_path, "--predictions", path, *FAST)["rows"] == 2  # nothing tells that there are more


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file; `eval/reasoning.py predict` writes it"),
        ([], "holds no answers"),
        ([line(0, BURNS), line(0, RUNS)], "row 0 stands in line 1 and in line 2. Keep one."),
        ([line(0, BURNS), {"row": 1}], "line 2 lacks id, level, prediction, question, reference, task, turn, video"),
        ([line(0, BURNS, row=-1)], "line 1: `row` is -1, expected a whole number from 0"),
        ([line(0, BURNS, row=True)], "line 1: `row` is True"),
        ([line(0, 7)], "line 1: `prediction` is 7, expected a text, or null for none"),
        ([line(0, BURNS, task="analysis")], "`task`"),
        ([line(0, BURNS, video="a.mp4")], "line 1"),
        ([3], "line 1 lacks"),
        ('{"row": 0, \n', "line 1 is no JSON"),
        ('{"row": 0, ', "holds no answers"),
        ([line(0, BURNS, row=11)], "row 11 answers caption of ucf-crime/clips/test/a_E0C0.mp4, where --annotations"),
        ([line(0, BURNS, row=2)], "have ucf-crime/clips/test/b_E0C0.mp4, or another reference; pass the annotations"),
        ([line(0, BURNS, reference="other")], "or another reference"),
    ],
)
def test_predictions_that_cannot_be_scored(tmp_path, annotations, content, message, capsys):
    path = tmp_path / "predictions.jsonl"
    if isinstance(content, str):
        path.write_text(content)
    elif content is not None:
        write_lines(path, content)
    score(tmp_path, "--predictions", path, "--annotations", annotations, *FAST, status=1)
    said = capsys.readouterr().err
    assert message in said and said.startswith("error: ") and said.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--baselines_only", "--output", "{tmp}/o"], "--baselines-only: pass --annotations"),
        (["--predictions", "p"], "--predictions: pass --output"),
        (["--baselines_only", "--annotations", "{annotations}", "--against", "p"], "--against: pass --predictions"),
        (["--predictions", "p", "--output", "{file}"], "is a file; pass a folder"),
        (["--predictions", "p", "--output", "{tmp}/o", "--bootstrap", "-1"], "must be 0 or more"),
        (["--baselines_only", "--annotations", "{tmp}/nowhere"], "nowhere does not exist"),
        (["--baselines_only", "--annotations", "{annotations}", "--split", "train"], "no instructions of the split"),
    ],
)
def test_options_that_do_not_go_together(tmp_path, annotations, options, message, capsys):
    file = write_json(tmp_path / "file.json", {})
    argv = [option.format(tmp=tmp_path, file=file, annotations=annotations) for option in options]
    assert reasoning.main(["score", *argv, *FAST]) == 1
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1


def test_without_java(tmp_path, predictions, monkeypatch, capsys, no_pictures):
    monkeypatch.setattr(reasoning_scores.shutil, "which", lambda name: None)
    score(tmp_path, "--predictions", predictions, status=1)
    said = capsys.readouterr().err
    assert "no `java` on the PATH, which meteor and --tokenizer ptb need" in said and said.count("\n") == 1
    argv = re.search(r"needs none: (.*)", said)[1].split()
    assert score(tmp_path, "--predictions", predictions, *argv)["options"]["tokenizer"] == "whitespace"
    assert score(tmp_path, "--predictions", predictions, "--metrics", "judgement")["pools"] == []


def test_java_that_fails_is_one_line(tmp_path, predictions, monkeypatch, capsys):
    def fail(texts: list[str], tokenizer: str):
        raise RuntimeError("PTB tokenization: Java ended with code 1 (no memory).")

    monkeypatch.setattr(reasoning_report, "tokens_of", fail)
    score(tmp_path, "--predictions", predictions, *FAST, status=1)
    assert capsys.readouterr().err == "error: PTB tokenization: Java ended with code 1 (no memory).\n"


def test_the_commands_of_the_documentation():
    text = (Path(__file__).parents[1] / "docs" / "reasoning.md").read_text(encoding="utf-8")
    lines = [found for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL) for found in block.splitlines()]
    parsed = [
        reasoning.build_parser().parse_args(shlex.split(found.split("reasoning.py ", 1)[1]))
        for found in lines
        if "reasoning.py" in found
    ]
    assert {args.command for args in parsed} == {"predict", "score", "judge"}


# ---- tables and picture ---------------------------------------------------------------------------------------------


def test_tables_and_picture(tmp_path, predictions, capsys):
    perfect = [line(place, fields["anwser"]) for place, fields in enumerate(ROWS)]
    write_lines(predictions, perfect)
    score(tmp_path, "--predictions", predictions, "--bootstrap", "100", *FAST)
    folder = next(tmp_path.glob("report*"))
    text = (folder / "report.md").read_text()
    assert text in capsys.readouterr().out
    # A resample may be of one video alone, where the most frequent answer is right as well: nothing is bold.
    assert "| all, 4 | **model** | 1.000 [1.000, 1.000] |" in text and "| all without repeats, 3 |" in text
    assert "| event, 3 | **model** | 1.000" in text
    report = json.loads((folder / "report.json").read_text())
    differences, bold = pool_of(report, "clip")["differences"], "| all, 4 | **model** | **1.000** [1.000, 1.000] | 1.0"
    for most_frequent_low, shuffled_low in ((0.01, -0.01), (-0.01, 0.01), (0.01, 0.0), (0.01, None), (0.01, 0.01)):
        differences["most frequent"]["bleu_1"]["low"] = most_frequent_low
        differences["shuffled"]["bleu_1"]["low"] = shuffled_low
        both = most_frequent_low == shuffled_low
        assert (bold in reasoning_report.markdown(report)) == both
    assert "a baseline without such a figure (–) is left aside" in text
    figure = {"value": None, "low": None, "high": None}
    pool_of(report, "clip")["scores"]["shuffled"]["bleu_1"] = differences["shuffled"]["bleu_1"] = figure
    assert bold in reasoning_report.markdown(report)
    with Image.open(io.BytesIO((folder / "reasoning.png").read_bytes())) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    assert min(pixels.shape[:2]) > 300
    for colour in ((0xB5, 0x48, 0x4F), (0x4C, 0x78, 0xA8), (0x72, 0xB7, 0xB2)):
        assert (np.abs(pixels - colour).max(-1) < 8).sum() > 1000


def test_a_bar_of_an_interval_that_leaves_out_its_figure():
    figures = [
        {"value": 0.4, "low": 0.1, "high": 0.3},
        {"value": 0.1, "low": 0.2, "high": 0.3},
        {"value": 0.2, "low": None, "high": None},
    ]
    axes = Figure().subplots()
    pools = [{"level": "clip", "scores": {"shuffled": {"cider": figure}}} for figure in figures]
    reasoning_report.draw_panel(axes, "cider", pools)
    assert [bar.get_height() for bar in axes.patches] == [0.4, 0.1, 0.2]
    (lines,) = axes.collections
    assert [segment[:, 1].tolist() for segment in lines.get_segments()] == [
        pytest.approx([0.1, 0.3]),
        pytest.approx([0.2, 0.3]),
    ]


def test_a_report_without_judgements_or_texts_has_a_picture(tmp_path, predictions, capsys):
    for name in ("judgement", "rouge"):
        score(tmp_path, "--predictions", predictions, "--tokenizer", "whitespace", "--metrics", name)
    assert len(list(tmp_path.glob("report*/reasoning.png"))) == 2
    path = write_lines(tmp_path / "clips.jsonl", [line(0, BURNS), line(3, CALM)])
    score(tmp_path, "--predictions", path, "--metrics", "judgement", status=1)
    assert "--metrics judgement: none of the 2 rows is a judgement; choose others" in capsys.readouterr().err
