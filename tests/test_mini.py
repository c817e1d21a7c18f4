"""The checkpoint in the box: what it weighs, what it carries, and that its answers about the demo are right."""

import json
import re
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoProcessor

from hivau70k_dataset import render_miniature
from hivau70k_dataset.labels import parse_judgement
from hivau70k_dataset.videos import VideoFolder
from modeling_holmes_vau import cli
from modeling_holmes_vau.cli import default_checkpoint
from modeling_holmes_vau.pipeline_holmes_vau import analyze_video


ROOT = Path(__file__).parents[1]
JUDGEMENT = "What types of anomalies are shown in the video clip?"


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The videos of `make demo`, with their annotations: the one with an anomaly, then the one without."""
    options = re.search(r"miniature (--split .*) --output demo$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    words = options.split()
    given = {name.removeprefix("--"): value for name, value in zip(words[::2], words[1::2])}
    folder = tmp_path_factory.mktemp("demo")
    split = given.pop("split")
    entries = render_miniature(folder, split, workers=1, progress=False, **{k: int(v) for k, v in given.items()})
    found = VideoFolder(folder / "videos")
    return [(entry, found.find(entry).path) for entry in sorted(entries, key=lambda entry: not entry.labels)]


def test_it_is_small_and_complete():
    folder = default_checkpoint()
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 15e6
    assert json.loads((folder / "config.json").read_text()).get("warning") is None
    assert {path.stem for path in (folder / "logs").iterdir()} >= {"vision", "scorer", "captions", "sft"}
    model, loaded = AutoModel.from_pretrained(folder, trust_remote_code=True, output_loading_info=True)
    assert not loaded["missing_keys"] and not loaded["unexpected_keys"] and model.dtype == torch.float32
    assert AutoProcessor.from_pretrained(folder, trust_remote_code=True).num_frames == model.config.num_frames


def test_its_code_is_that_of_the_package():
    folder = default_checkpoint()
    copies = sorted(path.name for path in folder.glob("*.py"))
    assert "modeling_holmes_vau.py" in copies
    changed = [
        name for name in copies if (folder / name).read_text() != (ROOT / "modeling_holmes_vau" / name).read_text()
    ]
    assert not changed, f"{changed} differ from the package's: run `make mini-code`"


def test_the_demo_is_judged_rightly(demo):
    model, processor = cli.load_checkpoint(None, "cpu", "auto")
    (abnormal, path), (calm, calm_path) = demo
    assert len(abnormal.labels) == 1 and not calm.labels
    analysis = analyze_video(path, model, processor, prompt=JUDGEMENT)
    assert parse_judgement(analysis["answer"]).classes == abnormal.labels
    truth = abnormal.events[0]
    (event,) = analysis["events"]
    shared = min(event["end_s"], truth.end_s) - max(event["start_s"], truth.start_s)
    assert shared / (max(event["end_s"], truth.end_s) - min(event["start_s"], truth.start_s)) > 0.5
    analysis = analyze_video(calm_path, model, processor, prompt=JUDGEMENT)
    assert parse_judgement(analysis["answer"]).abnormal is False and not analysis["events"]
