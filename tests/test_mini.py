"""The checkpoint in the box: what it weighs, what it carries, and that its answers about the demo are right."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoModel, AutoProcessor

from benchmarks import mini_card
from hivau70k_dataset.labels import parse_judgement
from hivau70k_dataset.reading import read_annotation_files
from hivau70k_dataset.videos import VideoFolder
from modeling_holmes_vau.checkpoint.build import SYNTHETIC_WARNING
from modeling_holmes_vau.checkpoint.known import default_checkpoint
from modeling_holmes_vau.checkpoint.load import load_on_device
from modeling_holmes_vau.pipeline_holmes_vau import analyze_video
from modeling_holmes_vau.session_holmes_vau import VideoSession
from tests.annotations import write_json


ROOT = Path(__file__).parents[1]
BASE = ROOT / "checkpoints" / "holmes-vau-mini-base"  # what a model like it is tuned from
JUDGEMENT = "What types of anomalies are shown in the video clip?"


@pytest.fixture(scope="module")
def demo(demo_folder):
    """The videos of `make demo`, with their annotations: the one with an anomaly, then the one without."""
    entries, found = read_annotation_files(demo_folder).annotations, VideoFolder(demo_folder / "videos")
    return [(entry, found.find(entry).path) for entry in sorted(entries, key=lambda entry: not entry.labels)]


def test_it_is_small_and_complete():
    folder = default_checkpoint()
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 15e6
    assert json.loads((folder / "config.json").read_text())["warning"] == SYNTHETIC_WARNING
    logs = {path.stem for path in (folder / "logs").iterdir()}
    assert logs >= {"vision", "scorer", "align", "captions", "retell", "sft"}
    model, loaded = AutoModel.from_pretrained(folder, trust_remote_code=True, output_loading_info=True)
    assert not loaded["missing_keys"] and not loaded["unexpected_keys"] and model.dtype == torch.float32
    assert AutoProcessor.from_pretrained(folder, trust_remote_code=True).num_frames == 8


def test_its_base_is_small_complete_and_was_never_tuned():
    folder = BASE
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 15e6
    assert json.loads((folder / "config.json").read_text())["warning"] == SYNTHETIC_WARNING
    assert {path.stem for path in (folder / "logs").iterdir()} >= {"vision", "scorer", "align", "captions", "retell"}
    model, loaded = AutoModel.from_pretrained(folder, trust_remote_code=True, output_loading_info=True)
    assert not loaded["missing_keys"] and not loaded["unexpected_keys"] and model.dtype == torch.float32
    box = AutoModel.from_pretrained(default_checkpoint(), trust_remote_code=True)
    ours, theirs = (dict(one.model.vision_tower.named_parameters()) for one in (model, box))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    # What LoRA has changed, and nothing else.
    ours, theirs = model.state_dict(), box.state_dict()
    changed = {name.split(".")[-2] for name in theirs if not torch.equal(ours[name], theirs[name])}
    assert changed == {f"{name}_proj" for name in ("q", "k", "v", "o", "gate", "up", "down")}


@pytest.mark.parametrize("folder", [default_checkpoint(), BASE], ids=lambda folder: folder.name)
def test_its_code_is_that_of_the_package(folder):
    copies = sorted(path.name for path in folder.glob("*.py"))
    assert "modeling_holmes_vau.py" in copies
    changed = [
        name for name in copies if (folder / name).read_text() != (ROOT / "modeling_holmes_vau" / name).read_text()
    ]
    assert not changed, f"{changed} differ from the package's: run `make mini-code`"


def test_the_card_is_made_of_the_run(tmp_path, capsys):
    run, output = tmp_path / "run", tmp_path / "checkpoints" / "mini"
    merged, box = run / "merged", default_checkpoint()
    merged.mkdir(parents=True)
    shutil.copy(box / "processor_config.json", merged)
    config = json.loads((box / "config.json").read_text())
    write_json(merged / "config.json", {**config, "warning": None})  # of a run begun before there was one
    save_file({"weight": torch.zeros(500_000, dtype=torch.float16)}, merged / "model.safetensors")
    for log in mini_card.LOGS.values():
        (run / log).parent.mkdir(exist_ok=True)
        (run / log).write_text("{}\n")
    annotations = run / "data" / "raw_annotations" / "miniature_train.jsonl"
    annotations.parent.mkdir(parents=True)
    annotations.write_text("{}\n" * 7)
    figures = [{"auc": value, "ap_step": value, "events": {"f1@0.3": value}} for value in (0.987, 0.612)]
    detection = {"rows": dict(zip(("scores", "centre"), figures)), "videos": {"counted": 5}}

    def cells(model: float, *blind: float) -> dict:
        names = ("model", "most frequent", "shuffled")
        metrics = ("cider", "accuracy", *mini_card.JUDGED, *mini_card.ATTRIBUTES)
        return {
            name: {metric: {"value": value, "low": value - 0.1, "high": value + 0.1} for metric in metrics}
            for name, value in zip(names, (model, *blind))
        }

    judgements = [
        {"level": level, "duplicates": duplicates, "scores": cells(0.8 if duplicates else 0.111, 0.3, 0.4)}
        for level in ("event", "video")
        for duplicates in (True, False)
    ]
    texts = cells(1.5, 0.25, 0.2)
    pools = [{"level": level, "task": task, "duplicates": True, "scores": texts} for level, task in mini_card.TEXTS]
    write_json(run / "detection" / "report.json", detection)
    attributes = [{"level": "clip", "task": "caption", "scores": cells(0.85, 0.2, 0.1)}]
    write_json(run / "scores" / "report.json", {"judgements": judgements, "pools": pools, "attributes": attributes})
    write_json(run / "general" / "report.json", {"pools": [{"scores": cells(0.9, 0.5, 0.4)}]})
    (run / "machine.txt").write_text("Trained on a toaster.\n")
    output.mkdir(parents=True)
    (output / "old.txt").write_text("of an earlier checkpoint")
    mini_card.main(["--run", str(run), "--output", str(output)])
    assert f"wrote {output}, 1.0 MB" in capsys.readouterr().out
    card = (output / "README.md").read_text()
    assert "| scorer, frame AUC | 0.987 | 0.612 |" in card and "0.111" not in card
    assert "| videos, judged rightly | 0.800 [0.700, 0.900] | 0.400 [0.300, 0.500] |" in card
    assert "| event analysis, CIDEr | 1.500 [1.400, 1.600] | 0.250 [0.150, 0.350] |" in card
    assert "| clip caption, colours, F1 | 0.850 [0.750, 0.950] | 0.200 [0.100, 0.300] |" in card
    assert "| general questions answered rightly | 0.900 [0.800, 1.000] | 0.500 [0.400, 0.600] |" in card
    assert "Trained on a toaster." in card
    assert "0.5 million weights" in card and "7 train videos" in card and "On the 5 test videos" in card
    assert {path.stem for path in (output / "logs").iterdir()} == set(mini_card.LOGS)
    assert f'"{SYNTHETIC_WARNING}"' in card
    assert json.loads((output / "config.json").read_text())["warning"] == SYNTHETIC_WARNING
    assert not (output / "old.txt").exists()
    save_file({"weight": torch.zeros(8_000_000, dtype=torch.float16)}, merged / "model.safetensors")
    with pytest.raises(SystemExit, match="MB, allowed are 15"):
        mini_card.main(["--run", str(run), "--output", str(output)])
    assert (output / "README.md").read_text() == card and len(list(output.parent.iterdir())) == 1


def test_the_demo_is_judged_rightly(demo):
    model, processor = load_on_device(None, "cpu", "auto")
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


def test_an_event_that_is_cut_keeps_its_score_to_the_end(demo):
    """A segment that ends, or begins, in the middle of the event; and a video in which nothing happens at all."""
    model, processor = load_on_device(None, "cpu", "auto")
    (abnormal, path), _ = demo
    event = abnormal.events[0]
    middle_s = 0.5 * (event.start_s + event.end_s)
    until = VideoSession(path, model, processor, segment_s=(0.0, middle_s))
    since = VideoSession(path, model, processor, segment_s=(middle_s, abnormal.duration_s))
    assert until.scores[-1] > 0.6 and since.scores[0] > 0.6
    assert until.events()[-1]["end_s"] > middle_s - 0.2 and since.events()[0]["start_s"] < middle_s + 0.2
    black = VideoSession(np.zeros((400, 128, 128, 3), np.uint8), model, processor, fps=10.0).scores
    assert black.max() - black.min() < 0.5
