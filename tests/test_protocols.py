"""The protocols by which papers score a level: against the metrics called task by task, and where they differ."""

import doctest
import json

import numpy as np
import pytest

from eval import reasoning
from eval.answers import protocols as module
from eval.answers import report as reasoning_report
from eval.answers.protocols import COLUMNS, PROTOCOLS, protocols_of_answers
from eval.answers.report import load_metric, markdown
from hivau70k_dataset.schema import Instruction
from tests.annotations import released_row, write_lines


METRICS = {"bleu": "bleu_sum", "cider": "cider", "rouge": "rouge_l"}  # those that need no Java
WITHOUT_JAVA = {"metrics": list(METRICS), "tokenizer": "whitespace"}
WORDS = "a man woman car bin burns runs lights street shop bus breaks waits the in".split()
SUFFIX = {"clip": "_E0C0", "event": "_E0", "video": ""}


def row(level: str, task: str, video: str, answer: str) -> Instruction:
    return Instruction("0", level, task, f"ucf-crime/{level}s/test/{video}{SUFFIX[level]}.mp4", "?", answer)


def sentence(rng: np.random.Generator) -> str:
    return " ".join(rng.choice(WORDS, rng.integers(3, 9)))


def random_rows(seed: int) -> tuple[list[Instruction], list[str]]:
    """Rows of two levels in a random order, some asked twice, and answers to them."""
    rng = np.random.default_rng(seed)
    kinds = [("clip", "caption"), ("event", "judgement"), ("event", "description"), ("event", "analysis")]
    rows = [row(*kinds[rng.integers(4)], f"v{rng.integers(6)}", sentence(rng)) for _ in range(40)]
    return rows, [sentence(rng) for _ in rows]


def brute(rows: list[Instruction], answers: list[str], places: list[int]) -> dict[str, float]:
    """The figures of some rows, each metric called on them alone."""
    texts = {
        "predictions": [answers[place] for place in places],
        "references": [rows[place].answer for place in places],
    }
    return {
        column: load_metric(name).compute(**texts, tokenizer="whitespace")[column] for name, column in METRICS.items()
    }


@pytest.mark.parametrize("seed", [0, 1])
def test_each_protocol_equals_the_metric_called_on_its_pools(seed):
    rows, answers = random_rows(seed)
    found = protocols_of_answers(rows, {"ours": answers}, **WITHOUT_JAVA)
    assert list(found) == ["clip", "event"] and list(found["event"]["scores"]) == ["ours", "most frequent", "shuffled"]
    for level, entry in found.items():
        own = [place for place, one in enumerate(rows) if one.level == level]
        tasks = {rows[place].task for place in own}
        whole = brute(rows, answers, own)
        of_tasks = [brute(rows, answers, [place for place in own if rows[place].task == task]) for task in tasks]
        asked, first = set(), []
        for place in own:
            if (rows[place].video, rows[place].task) not in asked:
                first.append(place)
                asked.add((rows[place].video, rows[place].task))
        single = brute(rows, answers, first)
        assert 0 < len(first) < len(own) and (level == "clip" or len(tasks) == 3)
        assert (entry["rows"], entry["rows_deduplicated"]) == (len(own), len(first))
        for column, figures in entry["scores"]["ours"].items():
            mean = sum(one[column] for one in of_tasks) / len(of_tasks)
            expected = (whole[column], mean, mean, single[column])
            assert list(figures) == list(PROTOCOLS)
            assert list(figures.values()) == pytest.approx(expected, abs=1e-12), (level, column)
    assert found["event"]["tasks"] == {
        task: sum((one.level, one.task) == ("event", task) for one in rows)
        for task in ("judgement", "description", "analysis")
    }
    assert found["clip"]["tasks"] == {}  # one task: the level is its pool


@pytest.mark.parametrize("wrong", ["xyz", "xyz uvw xyz uvw xyz"])
def test_a_task_that_scores_zero_is_counted_by_one_mean_and_not_by_the_other(wrong):
    said = {"judgement": "no anomaly here", "description": "a man walks home", "analysis": "nothing strange was seen"}
    rows = [row("event", task, video, f"{text} {video}") for task, text in said.items() for video in ("v", "w")]
    answers = [one.answer for one in rows]
    answers[4:] = [wrong, wrong]  # not a word of the analyses is right, yet BLEU is not quite zero
    figures = protocols_of_answers(rows, {"ours": answers}, **WITHOUT_JAVA)["event"]["scores"]["ours"]
    assert 0 < brute(rows, answers, [4, 5])["bleu_sum"] < 1e-8
    for column, best in (("bleu_sum", 4.0), ("rouge_l", 1.0)):
        assert figures[column]["task_mean"] == pytest.approx(2 / 3 * best, abs=1e-6)
        assert figures[column]["task_mean_nonzero"] == pytest.approx(best, abs=1e-6)
    assert figures["cider"]["task_mean_nonzero"] == pytest.approx(1.5 * figures["cider"]["task_mean"]) != 0
    nothing = protocols_of_answers(rows, {"ours": [""] * 6}, **WITHOUT_JAVA)["event"]["scores"]["ours"]
    for column in METRICS.values():
        assert list(nothing[column].values()) == pytest.approx([0.0] * 4, abs=1e-12)


def test_repeats_are_left_out_of_one_protocol():
    rows = [row("clip", "caption", video, f"a man walks by {video}") for video in ("a", "a", "a", "b")]
    answers = [one.answer for one in rows[:3]] + ["uvw"]
    entry = protocols_of_answers(rows, {"ours": answers}, ["rouge"], "whitespace")["clip"]
    assert (entry["rows"], entry["rows_deduplicated"]) == (4, 2) and list(entry["scores"]["ours"]) == ["rouge_l"]
    assert entry["scores"]["ours"]["rouge_l"] == {
        "pooled": 3 / 4,
        "task_mean": 3 / 4,
        "task_mean_nonzero": 3 / 4,
        "deduplicated": 1 / 2,
    }
    # Blind answers are made anew of the rows that are left: of ties the first, which is right once of twice.
    frequent = entry["scores"]["most frequent"]["rouge_l"]
    assert frequent["deduplicated"] == pytest.approx((1 + 4 / 5) / 2) and frequent["pooled"] > frequent["deduplicated"]


def test_a_figure_that_is_not_there():
    def pool(task: str | None, value: float | None) -> dict:
        scores = {"model": {"cider": {"value": value}}}
        return {"level": "event", "task": task, "duplicates": True, "rows": 1, "scores": scores}

    pools = [pool(None, None), pool("judgement", None), pool("analysis", 0.5)]
    found = module.protocols_of_pools(pools)["event"]["scores"]["model"]["cider"]
    assert found == {"pooled": None, "task_mean": 0.5, "task_mean_nonzero": 0.5, "deduplicated": None}
    found = module.protocols_of_pools(pools[:2])["event"]["scores"]["model"]["cider"]
    assert set(found.values()) == {None}
    assert module.protocols_of_pools([]) == {}


def test_no_metric_runs_twice_on_a_pool(monkeypatch):
    rows, answers = random_rows(2)
    runs = []

    def load(name: str):
        metric = load_metric(name)
        compute = metric.compute
        metric.compute = lambda **texts: runs.append((name, tuple(texts["references"]))) or compute(**texts)
        return metric

    monkeypatch.setattr(reasoning_report, "load_metric", load)
    protocols_of_answers(rows, {"ours": answers}, **WITHOUT_JAVA)
    assert [name for name, _ in runs].count("bleu") == [name for name, _ in runs].count("rouge") == 1
    # CIDEr depends on the pool: of three systems once in clips, events and three tasks, with repeats and without
    assert [name for name, _ in runs].count("cider") == 3 * 10


def test_the_report_has_them(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(reasoning_report, "draw", lambda report: b"")
    rows, answers = random_rows(3)
    lines = []
    for place, (one, answer) in enumerate(zip(rows, answers)):
        line = {"row": place, "id": "0", "level": one.level, "task": one.task, "video": one.video, "turn": 0}
        lines.append(line | {"question": "?", "reference": one.answer, "prediction": answer})
    predictions = write_lines(tmp_path / "predictions.jsonl", lines)
    rival = write_lines(tmp_path / "rival.jsonl", [line | {"prediction": "a man"} for line in lines])
    argv = ["score", "--predictions", predictions, "--against", rival, "--output", tmp_path / "out"]
    argv += ["--tokenizer", "whitespace", "--metrics", *METRICS, "--bootstrap", "20"]
    assert reasoning.main([str(arg) for arg in argv]) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    systems = {"model": answers, "rival": ["a man"] * len(rows)}
    assert report["protocols"] == protocols_of_answers(rows, systems, **WITHOUT_JAVA)
    entry = report["protocols"]["event"]
    assert list(entry["scores"]) == ["model", "rival", "most frequent", "shuffled"]
    for system, scores in entry["scores"].items():
        assert list(scores) == [column for column in COLUMNS if column in METRICS.values()]
        pooled = next(pool for pool in report["pools"] if (pool["level"], pool["task"]) == ("event", None))
        assert scores["cider"]["pooled"] == pooled["scores"][system]["cider"]["value"]
    said = capsys.readouterr().out
    cells = " | ".join(f"{figure:.3f}" for figure in entry["scores"]["rival"]["cider"].values())
    assert f"|  |  | rival | {cells} |" in said and "- task_mean_nonzero: " in said
    assert "## protocols" not in markdown(report | {"protocols": {}})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"instructions": []}, "Got 0 instructions"),
        ({"metrics": ["judgement"]}, "Pass at least one instruction, and metrics among bleu, cider, meteor, rouge"),
        ({"metrics": []}, "the metrics"),
        ({"answered": {"ours": ["a"]}}, "'ours' has 1 answers to 2 instructions. Pass one to each"),
    ],
)
def test_refuses(changes, message):
    rows = [row("clip", "caption", video, "a man walks") for video in ("a", "b")]
    with pytest.raises(ValueError, match=message):
        protocols_of_answers(**({"instructions": rows, "answered": {"ours": ["a", "b"]}, **WITHOUT_JAVA} | changes))


def test_the_example():
    assert doctest.testmod(module).failed == 0 and doctest.testmod(module).attempted == 3


def test_rows_as_they_are_released(tmp_path):
    """The function takes what the reader gives."""
    from eval.answers.scores import read_instructions

    rows = [
        released_row(type="video", task=task, video=f"ucf-crime/videos/test/{name}.mp4", anwser=f"{task} of {name}")
        for task in ("description", "analysis")
        for name in ("a", "b")
    ]
    path = tmp_path / "instruction" / "merge_instruction_test_final.jsonl"
    write_lines(path, [{**fields, "id": place} for place, fields in enumerate(rows)])
    instructions = read_instructions(str(tmp_path), "test")
    found = protocols_of_answers(instructions, {}, ["bleu"], "whitespace")
    assert found["video"]["tasks"] == {"description": 2, "analysis": 2}
    assert list(found["video"]["scores"]) == ["most frequent", "shuffled"]
