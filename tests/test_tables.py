"""The paper's tables as commands: cells that are kept and go on, what is refused, figures beside a direct count."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from eval import detection, reasoning, tables
from eval.paper import table1, table2, table3, table4
from eval.paper.cells import CELL, Cell, make_cells
from eval.paper.figure6 import smooth
from eval.paper.latency import spread_over
from eval.paper.published import TABLE2, TABLE3, TABLE4
from eval.paper.suite import shorter_than, suite_of
from hivau70k_dataset.miniature.render import render_miniature
from hivau70k_dataset.schema import LEVELS
from modeling_holmes_vau.base.commands import CommandError
from tests.rivals import write_holmes_vau


ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def mini(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("mini")
    render_miniature(folder, "test", videos=3, size=64, workers=1, progress=False)
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    return write_holmes_vau(tmp_path_factory.mktemp("tiny") / "tiny")


def make(*words) -> int:
    return tables.main([str(word) for word in words])


# ---- cells ----------------------------------------------------------------------------------------------------------


def counting_cell(name: str, number: int) -> Cell:
    """A cell whose command appends to a file, so that its runs can be counted."""

    def commands(folder: Path) -> list[list[str]]:
        return [["-c", f"open({str(folder / 'runs')!r}, 'a').write('x')"]]

    return Cell(name, {"number": number}, commands, lambda folder: {"runs": (folder / "runs").read_text()}, 1.0)


def test_a_cell_runs_once_and_other_settings_are_refused(tmp_path, capsys):
    made = [counting_cell("one", 1), counting_cell("two", 2)]
    kept = make_cells(made[:1], tmp_path, "test")
    assert kept["one"]["figures"] == {"runs": "x"} and "1 cells, 0 done, 1 to run" in capsys.readouterr().out
    kept = make_cells(made, tmp_path, "test")
    assert [kept[name]["figures"] for name in ("one", "two")] == [{"runs": "x"}] * 2
    assert "2 cells, 1 done, 1 to run; about" in capsys.readouterr().out
    with pytest.raises(Exception, match=r"cell made with number 1, now asked for with number 3; choose another"):
        make_cells([counting_cell("one", 3)], tmp_path, "test")


def test_a_dry_run_runs_nothing(tmp_path, capsys):
    assert make_cells([counting_cell("one", 1)], tmp_path, "test", dry_run=True) == {}
    assert "  one" in capsys.readouterr().out and not (tmp_path / "cells").exists()


def test_a_program_that_fails_is_told_in_a_line_and_its_cell_is_not_done(tmp_path):
    broken = Cell("bad", {}, lambda folder: [["-c", "import sys; sys.exit('no such thing')"]], lambda folder: {})
    with pytest.raises(CommandError, match=r"ended with status 1: no such thing; all that it said is in .*log\.txt"):
        make_cells([broken], tmp_path, "test")
    assert not (tmp_path / "cells" / "bad" / CELL).exists()


@pytest.mark.parametrize("content", ["{", "[]", '{"settings": {}}'])
def test_a_damaged_cell_is_told(tmp_path, content):
    make_cells([counting_cell("one", 1)], tmp_path, "test")
    (tmp_path / "cells" / "one" / CELL).write_text(content)
    with pytest.raises(CommandError, match="is damaged; delete it"):
        make_cells([counting_cell("one", 1)], tmp_path, "test")


def test_a_killed_table_goes_on_to_the_same_figures(mini, tiny, tmp_path):
    words = ["table4", "--annotations", mini, "--model", tiny, "--frames", "2", "--no-latency"]
    words = [str(word) for word in [*words, "--samplers", "uniform", "ats", "--device", "cpu"]]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "eval" / "tables.py"), *words, "--output"]
    killed = subprocess.Popen([*command, str(tmp_path / "killed")], env=env, start_new_session=True)
    done = tmp_path / "killed" / "cells" / "uniform-2" / CELL
    until = time.monotonic() + 300
    while not done.exists() and time.monotonic() < until and killed.poll() is None:
        time.sleep(0.05)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    kept = done.read_bytes()
    for folder in ("killed", "quiet"):
        subprocess.run([*command, str(tmp_path / folder)], env=env, check=True, capture_output=True)
    assert done.read_bytes() == kept  # not done again
    tables_made = [json.loads((tmp_path / folder / "table4.json").read_text()) for folder in ("killed", "quiet")]
    assert tables_made[0] == tables_made[1]


# ---- the tables -----------------------------------------------------------------------------------------------------


def test_table4_has_the_figures_of_the_commands_it_names(mini, tiny, tmp_path, capsys):
    out = tmp_path / "out"
    options = ["--annotations", mini, "--model", tiny, "--frames", 2, "--samplers", "top_k", "--runs", 2, "-o", out]
    assert make("table4", *options, "--device", "cpu") == 0
    said = capsys.readouterr().out
    assert "| top_k | 2 |" in said and "## Time to the first token (cpu, torch.float32)" in said
    result = json.loads((out / "table4.json").read_text())
    predictions = tmp_path / "own.jsonl"
    data = ["--annotations", str(mini), "--videos", str(mini / "videos"), "--device", "cpu"]
    own = ["predict", "--model", str(tiny), *data, "--levels", "video", "--num-frames", "2", "--sampler", "top_k"]
    assert reasoning.main([*own, "--output", str(predictions)]) == 0
    scored = ["score", "--predictions", str(predictions), "--metrics", "bleu", "cider", "judgement"]
    assert reasoning.main([*scored, "--output", str(tmp_path / "scores")]) == 0
    report = json.loads((tmp_path / "scores" / "report.json").read_text())
    (pool,) = [pool for pool in report["pools"] if pool["task"] is None and pool["duplicates"]]
    (row,) = result["rows"]
    assert {name: row[name] for name in table4.COLUMNS} == {
        name: pool["scores"]["model"][name] for name in table4.COLUMNS
    }
    latency = row["latency"]
    parts = [latency[f"{name}_ms"] for name in ("decode", "tower", "score", "choose", "prefill", "total")]
    assert min(parts) >= 0 and parts[-1] > parts[-2] > 0 and 0 < latency["sampler_share"] < 1
    assert (out / "table4.png").stat().st_size > 5000 and (out / "table4.md").read_text().startswith("# Samplers")
    assert make("table4", *options, "--device", "cpu") == 0  # once more: nothing is run
    assert "2 cells, 2 done, 0 to run" in capsys.readouterr().out


def test_uniform_of_the_paper_scores_nothing(mini, tiny, tmp_path):
    out = tmp_path / "out"
    options = ["--annotations", mini, "--model", tiny, "--frames", 2, "--samplers", "uniform", "ats", "--runs", 2]
    assert make("table4", *options, "-o", out, "--device", "cpu") == 0
    uniform, ats = json.loads((out / "table4.json").read_text())["rows"]
    assert uniform["latency"]["score_ms"] == 0 and uniform["latency"]["frames"] == 2 < ats["latency"]["frames"]
    assert "--no-scores" in json.loads((out / "cells" / "uniform-2" / CELL).read_text())["commands"][0]


def test_short_segments_are_counted(mini):
    class Arguments:
        suite, annotations, videos, output, limit, device, dtype = "miniature", str(mini), None, "", None, None, None

    suite = suite_of(Arguments)
    counted = shorter_than(suite, 64)
    for level in LEVELS:
        lengths = []
        for entry in suite.entries():
            if level == "video":
                lengths.append(entry.n_frames)
            for event in entry.events:
                spans = [event] if level == "event" else event.clips if level == "clip" else []
                lengths += [round((span.end_s - span.start_s) * entry.fps) for span in spans]
        assert counted[level] == {"short": sum(length <= 64 for length in lengths), "all": len(lengths)}


def test_table2_takes_files_and_checkpoints(mini, tiny, tmp_path, capsys):
    predictions = tmp_path / "own.jsonl"
    data = ["--annotations", str(mini), "--videos", str(mini / "videos"), "--device", "cpu", "--max-new-tokens", "6"]
    assert reasoning.main(["predict", "--model", str(tiny), *data, "--output", str(predictions)]) == 0
    out = tmp_path / "out"
    models = [f"a file={predictions}", f"tiny={tiny}"]
    assert make("table2", "--models", *models, "--annotations", mini, "-o", out, "--device", "cpu") == 0
    said = capsys.readouterr().out
    assert "| **a file** |" in said and "| **tiny** |" in said and "| blind: shuffled |" in said
    assert "| clip, BLEU, a file | " in said and "| video, ROUGE-L, blind: most frequent | " in said
    found = json.loads((out / "table2.json").read_text())["figures"]
    assert set(found) == {"a file", "tiny"} and found["tiny"]["rows"] == found["a file"]["rows"]


@pytest.mark.parametrize(
    ("models", "said"),
    [
        (["x"], "--models x: expected NAME=WHAT"),
        (["a=b", "A=c"], "the name 'A' stands twice"),
        (["shuffled=b"], "is that of a baseline"),
        (["a=missing.jsonl"], "a=missing.jsonl: no such file"),
    ],
)
def test_table2_says_what_is_wrong_with_models(mini, tmp_path, capsys, models, said):
    assert make("table2", "--models", *models, "--annotations", mini, "-o", tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_table1_has_the_figures_of_detection(mini, tiny, tmp_path, capsys):
    out = tmp_path / "out"
    options = ["--annotations", mini, "--model", tiny, "-o", out, "--device", "cpu"]
    assert make("table1", *options) == 1
    assert "does not tell what its scorer was trained on" in capsys.readouterr().err
    assert make("table1", *options, "--any-source") == 0
    data = ["--annotations", str(mini), "--videos", str(mini / "videos"), "--device", "cpu"]
    assert detection.main(["--model", str(tiny), *data, "--output", str(tmp_path / "own")]) == 0
    own = json.loads((tmp_path / "own" / "report.json").read_text())
    (found,) = json.loads((out / "table1.json").read_text())["figures"].values()
    assert found["rows"] == own["rows"]
    for name in ("auc", "ap", "ap_step"):
        interval = found["intervals"][name]
        assert interval["value"] == pytest.approx(own["rows"]["scores"][name])
        assert interval["low"] <= interval["value"] <= interval["high"]


def test_table1_wants_scorers_of_their_benchmark_alone(tiny, tmp_path):
    benchmark = table1.Benchmark("ucf-crime", str(tmp_path), "ucf-crime", "", "")
    config = json.loads((tiny / "config.json").read_text())
    for sources, said in ((["xd-violence"], "was trained on xd-violence"), (None, "does not tell")):
        for file in tiny.iterdir():
            (tmp_path / file.name).unlink(missing_ok=True)
            (tmp_path / file.name).symlink_to(file)
        (tmp_path / "config.json").unlink()
        (tmp_path / "config.json").write_text(json.dumps({**config, "scorer_sources": sources}))
        with pytest.raises(CommandError, match=said):
            table1.check_sources(benchmark)
    (tmp_path / "config.json").write_text(json.dumps({**config, "scorer_sources": ["ucf-crime"]}))
    table1.check_sources(benchmark)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["table4", "--suite", "hivau"], "--suite hivau: pass --annotations and --videos"),
        (["table1", "--suite", "hivau"], "pass --ucf-model, --ucf-truth and --ucf-videos"),
        (["table1", "--suite", "hivau", "--xd-model", "x"], "XD-Violence: --xd-truth and --xd-videos not given"),
        (["table4", "--annotations", "nowhere"], "--annotations nowhere: no such folder"),
        (["table3", "--base", "checkpoints/holmes-vau-mini"], "has been tuned on all levels already"),
        (["table3", "--base", "x", "--steps", "0"], "--steps must be at least 1"),
        (["figure6", "--base", "x", "--ranks", "0"], "--ranks must be at least 1"),
        (["table3", "--config", "nowhere.yaml"], "--config nowhere.yaml: no such file"),
        (["table3", "--base", "nowhere"], "nowhere: no such folder"),
        (["table4", "--model", "nowhere"], "nowhere: no such folder"),
        (["table4", "--frames", "0"], "must be at least 1"),
    ],
)
def test_mistakes_are_a_line(tmp_path, capsys, words, said):
    assert make(*words, "-o", tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert not (tmp_path / "out" / "data").exists()  # told before anything is rendered


def test_table3_has_every_combination_of_levels_once():
    pairs = (("clip", "event"), ("clip", "video"), ("event", "video"))
    assert table3.COMBINATIONS == (*((level,) for level in LEVELS), *pairs, LEVELS) and len(TABLE3) == 7
    assert set(table3.COMBINATIONS) == set(TABLE3)


def test_the_printed_tables_agree_with_each_other():
    """The full model stands in Tables 2, 3 and 4 with one BLEU and CIDEr of videos."""
    _, bleu, cider, *_ = TABLE2["Holmes-VAU"]
    assert TABLE3[LEVELS] == (bleu, cider) and TABLE4[16, "ats"] == (bleu[2], cider[2])


def test_an_ablation_tunes_merges_asks_and_scores(mini, tiny, tmp_path):
    """Figure 6 with one rank and two steps, by its real programs."""
    render_miniature(mini, "train", videos=2, size=64, workers=1, progress=False)
    config = tmp_path / "sft.yaml"
    config.write_text(
        "per_device_train_batch_size: 1\nglobal_batch_size: 1\ndataloader_num_workers: 0\nreport_to: none\n"
    )
    options = ["--base", tiny, "--annotations", mini, "--config", config, "--steps", 2, "--ranks", 2, "--limit", 3]
    assert make("figure6", *options, "-o", tmp_path / "out", "--device", "cpu") == 0
    result = json.loads((tmp_path / "out" / "figure6.json").read_text())
    (figures,) = result["figures"].values()
    assert [step for step, _ in figures["loss"]] == [1, 2] and figures["rows"] == 3
    assert 0 <= figures["general"]["model"]["accuracy"]["value"] <= 1
    commands = json.loads((tmp_path / "out" / "cells" / "rank-2" / CELL).read_text())["commands"]
    assert [command.split()[1] for command in commands] == [
        "train_sft.py",
        "-m",
        "eval/reasoning.py",
        "eval/reasoning.py",
        "eval/general.py",
        "eval/general.py",
    ]
    assert "--lora-r 2 --lora-alpha 4" in commands[0] and (tmp_path / "out" / "figure6.png").stat().st_size > 5000


def test_a_table_goes_on_where_its_data_has_moved(mini, tiny, tmp_path, capsys):
    moved = tmp_path / "moved"
    moved.symlink_to(mini)
    words = ["table1", "--model", tiny, "--any-source", "-o", tmp_path / "out", "--device", "cpu"]
    assert make(*words, "--annotations", mini) == 0 == make(*words, "--annotations", moved)
    assert "1 cells, 1 done, 0 to run" in capsys.readouterr().out
    for split in ("test", "train"):  # what is not tested does not matter
        Arguments = type("Arguments", (), {"suite": "miniature", "annotations": str(mini), "videos": None})
        Arguments.output, Arguments.limit, Arguments.device, Arguments.dtype = "", None, None, None
        found = suite_of(Arguments).settings
        render_miniature(mini, split, videos=3, size=64, workers=1, progress=False)
        assert suite_of(Arguments).settings == found


def test_small_things():
    assert spread_over(["a", "b", "c", "d"], 2) == ["a", "c"] and spread_over(["a", "b"], 3) == ["a", "b", "a"]
    assert smooth([[1, 4.0], [2, 2.0]]) == [[1, 4.0], [2, 3.0]]
    assert table2.slug("plain-1") == "plain-1" and table2.slug("a b") != table2.slug("a/b")
