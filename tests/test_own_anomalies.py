"""The page about one's own anomalies, on videos of its names: from its tables to figures."""

import json
import re
from pathlib import Path

import pytest
import yaml

import train_scorer
from eval import detection
from hivau70k_dataset.cli import main as dataset
from tests.videos import write_video


PAGE = (Path(__file__).parents[1] / "docs" / "own_anomalies.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The tables of the page and videos of 10 seconds."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "cameras").mkdir()
    tables = re.findall(r"^```\n(video,.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for name, table in zip(("spans.csv", "test_spans.csv"), tables, strict=True):
        (folder / name).write_text(table, encoding="utf-8")
        for video in {row.split(",")[0] for row in table.splitlines()[1:]}:
            write_video(folder / "cameras" / video, num_frames=250)
    return folder


def test_the_page_goes_from_a_table_to_figures(folder, checkpoint56, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    (folder / "base").symlink_to(checkpoint56)
    lines = [
        line
        for block in re.findall(r"^```bash\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
        for line in block.splitlines()
    ]
    tables, check, train, measure = lines[:2], lines[2], lines[3], lines[4]
    for line in (*tables, check):
        words = line.split()
        assert words[:3] == ["python", "-m", "hivau70k_dataset"] and dataset(words[3:]) == 0, capsys.readouterr().out
    words = train.split()
    config = yaml.safe_load((Path(__file__).parents[1] / "configs" / "scorer.yaml").read_text(encoding="utf-8"))
    assert words[:4] == ["python", "train_scorer.py", "--config", "configs/scorer.yaml"] and config["max_steps"] > 2
    quick = ["--max-steps", "2", "--per-device-train-batch-size", "1", "--eval-steps", "1", "--save-steps", "1"]
    train_scorer.main([*words[4:], *quick, "--use-cpu", "true", "--report-to", "none"])
    assert measure.split()[:2] == ["python", "eval/detection.py"]
    assert detection.main([*measure.split()[2:], "--device", "cpu"]) == 0
    report = json.loads((folder / "figures" / "report.json").read_text(encoding="utf-8"))
    assert "Intruder" in (folder / "figures" / "report.md").read_text(encoding="utf-8") and report["rows"]
    assert {path.stem for path in (folder / "figures" / "scores").iterdir()} >= {"gate_friday", "gate_saturday"}
