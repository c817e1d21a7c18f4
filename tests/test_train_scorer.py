"""Stage 1 from videos to a checkpoint: what learns, how a run goes on, several processes."""

import copy
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import train_scorer
from benchmarks import bench_scorer
from eval import detection
from hivau70k_dataset.cli import main as run_dataset
from hivau70k_dataset.reading import AnnotationFiles, read_annotation_files
from hivau70k_dataset.schema import SYNTHETIC_SOURCE
from hivau70k_dataset.writing import write_annotation_files
from modeling_holmes_vau import (
    AnomalyScorer,
    AnomalyScorerConfig,
    HolmesVAUForConditionalGeneration,
)
from modeling_holmes_vau.checkpoint.build import (
    SYNTHETIC_LANGUAGE_WARNING,
    SYNTHETIC_SCORER_WARNING,
    SYNTHETIC_WARNING,
    UNTRAINED_BUT_VISION_WARNING,
    UNTRAINED_LANGUAGE_WARNING,
    UNTRAINED_SCORER_WARNING,
)
from tests.annotations import raw_annotations, write_json
from tests.folders import no_file_above
from tests.videos import write_video
from training.runs import JsonLinesLog, read_options
from training.scorer_data import hold_out, read_videos
from training.scorer_loss import PRESETS, LossWeights, choose_weights
from training.scorer_trainer import LabelledVideo, PairedSegments, ScorerTrainer, collate_pairs, measure


ROOT = Path(__file__).parents[1]


def video(name: str, length: int, events: list[tuple[int, int]], num_frames: int | None = None) -> LabelledVideo:
    labels = np.zeros(num_frames or 16 * length, np.uint8)
    for start, stop in events:
        labels[start:stop] = 1
    features = torch.full((length, 4), float(sum(name.encode())))
    return LabelledVideo(name, features + torch.arange(length)[:, None], labels, bool(events), stride=16)


def test_snippet_labels_are_shares_of_frames():
    labels = video("a", 4, [(8, 20), (60, 64)], num_frames=60).snippet_labels()
    assert labels.tolist() == [0.5, 0.25, 0.0, 0.0]
    assert video("a", 4, [(56, 60)], num_frames=60).snippet_labels().tolist() == [0.0, 0.0, 0.0, pytest.approx(4 / 12)]


@pytest.fixture
def pairs():
    normal = [video(f"n{i}", 10 + i, []) for i in range(3)]
    abnormal = [video(f"a{i}", 300, [(16 * 150, 16 * 160)]) for i in range(4)]
    return PairedSegments(normal, abnormal, num_pairs=24, max_snippets=20, noise_size=6, seed=1)


def test_pairs_depend_on_the_index_alone(pairs):
    items = [pairs[i] for i in range(len(pairs))]
    for i in (23, 0, 7):
        assert all(torch.equal(pairs[i][name], items[i][name]) for name in items[i])
    first = {item["normal_features"][0, 0].item() for item in items[:3]}
    assert len(first) == 3  # each normal video once before any comes again
    assert not torch.equal(items[0]["noise"][:5], items[3]["noise"][:5])


def test_segments_of_abnormal_videos_hold_the_event(pairs):
    for i in range(len(pairs)):
        item = pairs[i]
        assert len(item["abnormal_labels"]) == 20 and item["abnormal_labels"].sum() > 0
        assert item["normal_labels"].sum() == 0 and len(item["noise"]) == len(item["normal_labels"])
    blind = PairedSegments(*pairs.halves, num_pairs=40, max_snippets=20, frame_labels=False, noise_size=6)
    assert sum(blind[i]["abnormal_labels"].sum() == 0 for i in range(40)) > 20


def test_stretches_are_cut_out_of_some_videos(pairs):
    cut = PairedSegments(*pairs.halves, num_pairs=60, max_snippets=20, noise_size=6, seed=1, cut_share=0.5)
    items = [cut[i] for i in range(60)]
    lengths = [len(item["abnormal_labels"]) for item in items]
    assert 15 < sum(length < 20 for length in lengths) < 45 and min(lengths) >= 4
    assert all(item["abnormal_labels"].sum() > 0 for item in items)
    ends = [(item["abnormal_labels"][0].item(), item["abnormal_labels"][-1].item()) for item in items]
    assert any(first == 1 for first, _ in ends) and any(last == 1 for _, last in ends)  # in the middle of the event
    for item in items:  # labels belong to their features: snippets count up
        places = item["abnormal_features"][:, 0] - item["abnormal_features"][0, 0]
        assert places.tolist() == [float(i) for i in range(len(places))]
    again = PairedSegments(*pairs.halves, num_pairs=60, max_snippets=20, noise_size=6, seed=1, cut_share=0.5)
    assert all(torch.equal(again[i][name], items[i][name]) for i in (59, 7) for name in items[i])


def averaged_one_by_one(features: np.ndarray, parts: int) -> np.ndarray:
    """The rule of UR-DMU's `dataset_loader.py`, part by part."""
    borders = np.linspace(0, len(features), parts + 1, dtype=int)
    rows = []
    for i in range(parts):
        first, last = borders[i], borders[i + 1]
        rows.append(features[first:last].mean(0) if last > first else features[first])
    return np.stack(rows)


@pytest.mark.parametrize("length", [1, 7, 150, 200, 333, 1000])
def test_videos_are_averaged_as_ur_dmu_does(length):
    rng = np.random.default_rng(length)
    frames = 16 * length - 5  # the last snippet is shorter
    labels = (rng.random(frames) < 0.3).astype(np.uint8)
    features = rng.standard_normal((length, 6)).astype(np.float32)
    given = LabelledVideo("a", torch.from_numpy(features), labels, True, stride=16)
    averaged, shares = given.average(0, length, 200)
    assert averaged.dtype == shares.dtype == torch.float32
    np.testing.assert_allclose(averaged.numpy(), averaged_one_by_one(features, 200), rtol=1e-5, atol=1e-6)
    borders = np.linspace(0, length, 201, dtype=int)
    expected = [labels[16 * a : 16 * max(b, a + 1)].mean() for a, b in zip(borders, borders[1:])]
    np.testing.assert_allclose(shares.numpy(), expected, rtol=1e-6)
    if length == 200:
        assert torch.equal(averaged, given.features) and torch.equal(shares, given.snippet_labels())


def test_whole_videos_are_averaged_and_not_cropped(pairs):
    """Short and long ones alike have one length; a long one its event, wherever it is."""
    averages = PairedSegments(*pairs.halves, num_pairs=8, max_snippets=20, noise_size=6, seed=1, averages=True)
    for i in range(8):
        item = averages[i]
        assert item["normal_features"].shape == item["abnormal_features"].shape == (20, 4)
        assert item["noise"].shape == (20, 6)
        # 300 snippets to 20 parts of 15: the event, 150 to 160, is two thirds of the tenth.
        assert item["abnormal_labels"].tolist() == pytest.approx([0.0] * 10 + [2 / 3] + [0.0] * 9)
        steps = item["abnormal_features"][:, 0].diff()
        torch.testing.assert_close(steps, torch.full((19,), 15.0))
    assert collate_pairs([averages[0], averages[1]])["lengths"].tolist() == [20] * 4


def test_a_stretch_that_is_cut_out_is_averaged(pairs):
    cut = PairedSegments(
        *pairs.halves, num_pairs=40, max_snippets=20, noise_size=6, seed=1, cut_share=0.5, averages=True
    )
    items = [cut[i] for i in range(40)]
    assert {len(item["abnormal_labels"]) for item in items} == {20}
    assert all(item["abnormal_labels"].max() > 0 for item in items)
    spread = [(item["abnormal_features"][-1, 0] - item["abnormal_features"][0, 0]).item() for item in items]
    assert 10 < sum(abs(width - 285) > 1 for width in spread) < 30  # the others are whole


def test_a_batch_is_padded_normal_first(pairs):
    batch = collate_pairs([pairs[0], pairs[1]])
    assert batch["features"].shape == (4, 20, 4) and batch["noise"].shape == (2, 20, 6)
    assert batch["lengths"].tolist()[2:] == [20, 20]
    assert (batch["features"][0, batch["lengths"][0] :] == 0).all()


def test_pairs_need_both_kinds():
    with pytest.raises(ValueError, match="no abnormal videos"):
        PairedSegments([video("n", 5, [])], [], num_pairs=1)


def test_measure_over_whole_videos():
    scorer = AnomalyScorer(AnomalyScorerConfig(feature_size=4, hidden_size=16, head_dim=4))
    videos = [video("a", 12, [(40, 90)]), video("n", 7, [])]
    result = measure(scorer, videos)
    scores = [scorer.eval()(v.features[None])[0].repeat_interleave(16).tolist() for v in videos]
    positive = [s for s, y in zip(scores[0], videos[0].frame_labels) if y]
    negative = [s for s, y in zip(scores[0] + scores[1], [*videos[0].frame_labels, *videos[1].frame_labels]) if not y]
    pairs = [(a > b) + 0.5 * (a == b) for a in positive for b in negative]
    assert result["auc"] == pytest.approx(sum(pairs) / len(pairs))


def test_measure_of_video_labels_looks_at_no_span():
    scorer = AnomalyScorer(AnomalyScorerConfig(feature_size=4, hidden_size=16, head_dim=4)).eval()
    videos = [video(name, 9, [(0, 16)] if name.startswith("a") else []) for name in ("a0", "a1", "n0", "n1", "n2")]
    highest = {v.name: scorer(v.features[None]).max().item() for v in videos}
    pairs = [
        (highest[a] > highest[n]) + 0.5 * (highest[a] == highest[n]) for a in ("a0", "a1") for n in ("n0", "n1", "n2")
    ]
    result = measure(scorer, videos, "video")
    assert result["auc"] == pytest.approx(sum(pairs) / 6) and "auc_within" not in result
    moved = [replace(v, frame_labels=v.frame_labels[::-1].copy()) for v in videos]
    assert measure(scorer, moved, "video") == result


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Four abnormal and four normal videos; the abnormal ones turn dark while it burns."""
    folder, records, base = tmp_path_factory.mktemp("data"), {}, raw_annotations()
    (folder / "videos").mkdir()
    rng = np.random.default_rng(0)
    for i in range(4):
        frames = rng.integers(100, 200, (120, 32, 32, 3), dtype=np.uint8)
        write_video(folder / "videos" / f"Normal_Videos_{i}_x264.mp4", frames=frames)
        records[f"Normal_Videos_{i}_x264"] = {**copy.deepcopy(base["Normal_Videos_101_x264"]), "n_frames": 120}
        frames = frames.copy()
        frames[50:100] //= 4
        write_video(folder / "videos" / f"Arson{i}_x264.mp4", frames=frames)
        arson = {**copy.deepcopy(base["Arson101_x264"]), "n_frames": 120, "fps": 25.0, "events": [[2.0, 4.0]]}
        arson.update(clips=[[[2.0, 4.0]]], clips_caption=[["It burns."]], events_summary=arson["events_summary"][:1])
        arson["events_summary_split"] = arson["events_summary_split"][:1]
        records[f"Arson{i}_x264"] = arson
    write_json(folder / "annotations" / "raw_annotations" / "ucf_database_train.json", records)
    return folder


def scorer_argv(data: Path, checkpoint: Path, output: Path, /, **changes) -> list[str]:
    """Arguments of a short run."""
    options = {
        "model": checkpoint,
        "annotations": data / "annotations",
        "videos": data / "videos",
        "features_dir": data / "features",
        "output_dir": output,
        "max_steps": 6,
        "per_device_train_batch_size": 2,
        "eval_steps": 3,
        "save_steps": 3,
        "logging_steps": 1,
        "validation_share": 0.25,
        "use_cpu": True,
        "report_to": "none",
        "disable_tqdm": True,
        **changes,
    }
    return [f"--{name}={value}" for name, value in options.items()]


@pytest.fixture
def argv(data, checkpoint56, tmp_path):
    return lambda output, **changes: scorer_argv(data, checkpoint56, tmp_path / output, **changes)


def read_given(given: list[str], output: Path | None = None):
    """The videos that the arguments of a run name, to train on and to validate on."""
    args, training_args = read_options(train_scorer.KINDS, given)
    return read_videos(args, *train_scorer.load_checkpoint(args, training_args), output=output)


def losses(folder: Path) -> dict[int, float]:
    lines = map(json.loads, (folder / "log.jsonl").read_text().splitlines())
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


def test_the_scorer_learns_and_nothing_else_moves(argv, checkpoint56, tmp_path):
    metrics = train_scorer.main(argv("out", max_steps=40, eval_steps=20, save_steps=20, learning_rate=1e-3))
    assert metrics["auc"] > 0.9
    assert list(losses(tmp_path / "out")) == [*range(1, 41)]
    before = HolmesVAUForConditionalGeneration.from_pretrained(checkpoint56).state_dict()
    after = HolmesVAUForConditionalGeneration.from_pretrained(tmp_path / "out" / "checkpoint").state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {name for name in before if name.startswith("anomaly_scorer.")}
    alone = load_file(tmp_path / "out" / "anomaly_scorer.safetensors")
    assert all(torch.equal(after[f"anomaly_scorer.{name}"], weight) for name, weight in alone.items())


def test_a_killed_run_goes_on_to_the_same_end(argv, tmp_path, monkeypatch):
    train_scorer.main(argv("whole"))

    class Killed(Exception):
        pass

    def die(self, args, state, control, logs=None, **kwargs):
        original(self, args, state, control, logs, **kwargs)
        if state.global_step == 5:
            raise Killed

    original = JsonLinesLog.on_log
    monkeypatch.setattr(JsonLinesLog, "on_log", die)
    with pytest.raises(Killed):
        train_scorer.main(argv("killed"))
    monkeypatch.undo()
    train_scorer.main(argv("killed"))
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole")
    whole, killed = (load_file(tmp_path / name / "anomaly_scorer.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(whole[name], killed[name]) for name in whole)
    with pytest.raises(ValueError, match="made with learning_rate 0.0001, now asked for with learning_rate 0.01"):
        train_scorer.main(argv("killed", learning_rate=0.01))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGES = {
    "weights cut": ("model.safetensors", cut),
    "optimizer cut": ("optimizer.pt", cut),
    "optimizer of zeros": ("optimizer.pt", lambda path: path.write_bytes(bytes(path.stat().st_size))),
    "state cut": ("trainer_state.json", cut),
    "state of null": ("trainer_state.json", lambda path: path.write_text("null")),
    "settings cut": ("../settings.json", cut),
    "settings of null": ("../settings.json", lambda path: path.write_text("null")),
    "settings empty": ("../settings.json", lambda path: path.write_text("")),
}


@pytest.fixture(scope="module")
def killed_run(data, checkpoint56, tmp_path_factory):
    """A run of six steps that ended at the fifth, with checkpoints at the second and the fourth; and a whole one."""
    folder = tmp_path_factory.mktemp("runs")
    original = JsonLinesLog.on_log

    def die(self, args, state, control, logs=None, **kwargs):
        original(self, args, state, control, logs, **kwargs)
        if state.global_step == 5:
            raise KeyboardInterrupt

    def run(name: str) -> None:
        train_scorer.main(scorer_argv(data, checkpoint56, folder / name, max_steps=6, save_steps=2, eval_steps=2))

    run("whole")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(JsonLinesLog, "on_log", die)
        run("killed")
    return folder, run


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_power_cut_costs_a_checkpoint_and_not_the_run(killed_run, damage, caplog):
    folder, run = killed_run
    name, harm = DAMAGES[damage]
    copy_name = damage.replace(" ", "_")
    shutil.copytree(folder / "killed", folder / copy_name)
    harm(folder / copy_name / "checkpoint-4" / name)
    run(copy_name)
    assert f"{name.removeprefix('../')} is cut off or damaged" in caplog.text
    assert (folder / copy_name / "damaged-checkpoint-4").is_dir() == ("settings" not in damage)
    assert losses(folder / copy_name) == losses(folder / "whole")
    whole, resumed = (load_file(folder / run_name / "anomaly_scorer.safetensors") for run_name in ("whole", copy_name))
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    assert json.loads((folder / copy_name / "settings.json").read_text())["learning_rate"] == 1e-4


def test_a_video_lost_between_two_runs_is_trained_on_by_its_features(killed_run, data, checkpoint56, caplog):
    folder, _ = killed_run
    shutil.copytree(folder / "killed", folder / "lost")
    videos = shutil.copytree(data / "videos", folder / "some")
    (videos / "Arson0_x264.mp4").unlink()
    (videos / "Arson1_x264.mp4").write_bytes(b"no video")
    features = shutil.copytree(data / "features", folder / "features")
    options = {"max_steps": 6, "save_steps": 2, "eval_steps": 2, "videos": videos, "features_dir": features}
    argv = scorer_argv(data, checkpoint56, folder / "lost", **options)
    shutil.copytree(folder / "lost", folder / "gone")
    train_scorer.main(argv)
    assert "its stored features are used: ucf-crime/videos/train/Arson0_x264.mp4: not under" in caplog.text
    assert losses(folder / "lost") == losses(folder / "whole")
    (features / "ucf-crime/videos/train/Arson0_x264.safetensors").unlink()
    with pytest.raises(
        ValueError, match="1 videos of this run can't be read now.*train/Arson0_x264.mp4. Put them back"
    ):
        train_scorer.main(scorer_argv(data, checkpoint56, folder / "gone", **options))


def test_damaged_settings_are_no_licence_for_other_ones(killed_run, data, checkpoint56):
    folder, _ = killed_run
    shutil.copytree(folder / "killed", folder / "other")
    (folder / "other" / "settings.json").write_text("null")
    with pytest.raises(ValueError, match="made with learning_rate 0.0001, now asked for with learning_rate 0.01"):
        train_scorer.main(
            scorer_argv(data, checkpoint56, folder / "other", save_steps=2, eval_steps=2, learning_rate=0.01)
        )


def test_two_processes_make_the_steps_of_one(argv, tmp_path):
    train_scorer.main(argv("one", scorer_dropout=0, max_steps=4))
    launch = [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--multi_gpu",
        "--num_processes=2",
        "--num_machines=1",
    ]
    launch += ["--mixed_precision=no", "--dynamo_backend=no", str(ROOT / "train_scorer.py")]
    two = argv("two", scorer_dropout=0, max_steps=4, per_device_train_batch_size=1)
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    subprocess.run([*launch, *two], check=True, capture_output=True, env=env, cwd=tmp_path, timeout=300)
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), abs=1e-4)


def test_video_labels_alone(argv, tmp_path):
    train_scorer.main(argv("weak", supervision="video", preset="urdmu", max_steps=3))
    line = json.loads((tmp_path / "weak" / "log.jsonl").read_text().splitlines()[0])
    weights = PRESETS["urdmu"]
    names = (
        "triplet",
        "kl",
        "distance",
        "abnormal_memory",
        "abnormal_not_normal",
        "normal_memory",
        "normal_not_abnormal",
    )
    expected = line["term_video"] + sum(getattr(weights, name) * line[f"term_{name}"] for name in names)
    assert line["loss"] == pytest.approx(expected, rel=1e-4)


def test_a_run_on_averaged_videos_is_another_run(argv, tmp_path):
    train_scorer.main(argv("out", max_steps=2, lengths="average", max_snippets=12))
    settings = json.loads((tmp_path / "out" / "settings.json").read_text())
    assert (settings["lengths"], settings["max_snippets"], settings["sources"]) == ("average", 12, [])
    with pytest.raises(ValueError, match="made with lengths average, now asked for with lengths crop"):
        train_scorer.main(argv("out", max_steps=2, max_snippets=12))


@pytest.fixture(scope="module")
def two_sources(data, tmp_path_factory):
    """The annotations of `data`, two videos of each kind as those of another source."""
    folder, entries = tmp_path_factory.mktemp("two"), read_annotation_files(data / "annotations").annotations
    marked = [replace(e, source="mine") if e.video[-6] in "01" else e for e in entries]
    write_annotation_files(folder, AnnotationFiles(tuple(marked), ()))
    return folder


def test_videos_of_some_sources_alone(argv, two_sources, tmp_path):
    def sources(output: str, **changes) -> tuple[list[str], set[str]]:
        """What the checkpoint says, and the sources of the videos that were trained on."""
        train_scorer.main(argv(output, max_steps=1, annotations=two_sources, **changes))
        config = HolmesVAUForConditionalGeneration.from_pretrained(tmp_path / output / "checkpoint").config
        names = json.loads((tmp_path / output / "videos.json").read_text())
        return config.scorer_sources, {name.partition("/")[0] for name in names}

    assert sources("all") == (["mine", "ucf-crime"], {"mine", "ucf-crime"})
    assert sources("one", sources="ucf-crime") == (["ucf-crime"], {"ucf-crime"})
    assert json.loads((tmp_path / "one" / "settings.json").read_text())["sources"] == ["ucf-crime"]
    with pytest.raises(ValueError, match=r"made with sources \['ucf-crime'\], now asked for with sources \['mine'\]"):
        sources("one", sources="mine")


def test_sources_without_videos_are_refused(argv, two_sources, tmp_path):
    given = argv("out", annotations=two_sources)
    message = "no training videos of xd-violence are annotated in .*; of these .* there are some: mine, ucf-crime"
    with pytest.raises(ValueError, match=message):
        read_given([*given, "--sources", "ucf-crime", "xd-violence"])
    (tmp_path / "some").mkdir()
    some = argv("out", annotations=two_sources, videos=tmp_path / "some", features_dir=tmp_path / "features")
    with pytest.raises(ValueError, match="no training videos of mine can be read from .*some; nor of any other"):
        read_given([*some, "--sources", "mine"])


def test_what_is_trained_further_keeps_its_sources(model56, monkeypatch):
    config = model56.config

    def after(before: list[str] | None, from_scratch: bool) -> list[str] | None:
        monkeypatch.setattr(config, "scorer_sources", before)
        train_scorer.note_sources(config, ["xd-violence/videos/train/a.mp4"], from_scratch)
        return config.scorer_sources

    assert after(["ucf-crime"], from_scratch=True) == ["xd-violence"]
    assert after(["ucf-crime"], from_scratch=False) == ["ucf-crime", "xd-violence"]
    assert after(None, from_scratch=False) is None  # it may have learned from anything


def test_missing_videos_are_named_and_left_out(argv, data, tmp_path, caplog):
    videos = tmp_path / "some"
    videos.mkdir()
    for path in sorted((data / "videos").iterdir())[1:]:
        (videos / path.name).symlink_to(path)
    (videos / "._Arson0_x264.mp4").touch()
    train_scorer.main(argv("out", videos=videos, features_dir=tmp_path / "features", max_steps=1))
    assert f"{videos}: 1 file left out: 1 hidden" in caplog.text
    assert "left out: ucf-crime/videos/train/Arson0_x264.mp4: not under the folder of videos" in caplog.text
    assert "1 of 8 videos are left out" in caplog.text


def test_of_many_missing_videos_a_file_has_the_names(argv, data, tmp_path, caplog):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "other.mp4").touch()
    given = argv("out", videos=tmp_path / "videos", features_dir=tmp_path / "features")
    assert read_given(given, output=tmp_path) == ([], [])
    lines = (tmp_path / "errors.txt").read_text(encoding="utf-8").splitlines()
    annotated = [entry.whole_path for entry in read_annotation_files(data / "annotations").annotations]
    assert lines == [f"left out: {path}: not under the folder of videos" for path in annotated] and len(lines) == 8
    assert [record.getMessage() for record in caplog.records][-7:] == [
        *lines[:5],
        f"3 more: see {tmp_path / 'errors.txt'}",
        "8 of 8 videos are left out",
    ]


@pytest.mark.parametrize(
    ("before", "on_synthetic", "after"),
    [
        (UNTRAINED_SCORER_WARNING, False, None),
        (UNTRAINED_BUT_VISION_WARNING, False, UNTRAINED_LANGUAGE_WARNING),
        (SYNTHETIC_WARNING, False, SYNTHETIC_LANGUAGE_WARNING),
        (SYNTHETIC_WARNING, True, SYNTHETIC_WARNING),
        (None, True, SYNTHETIC_SCORER_WARNING),
        ("random weights", False, "random weights"),
    ],
)
def test_the_warning_says_what_is_still_untrained(
    model56, processor56, tmp_path, monkeypatch, before, on_synthetic, after
):
    monkeypatch.setattr(model56.config, "warning", before)
    train_scorer.save(model56, processor56, tmp_path, on_synthetic, from_scratch=True)
    assert json.loads((tmp_path / "checkpoint" / "config.json").read_text()).get("warning") == after


def test_what_was_trained_on_tells_the_warning(argv, data, tmp_path):
    def warning(output: str, **changes) -> str | None:
        train_scorer.main(argv(output, max_steps=1, **changes))
        return json.loads((tmp_path / output / "checkpoint" / "config.json").read_text()).get("warning")

    assert warning("out") is None
    rendered = [
        replace(entry, source=SYNTHETIC_SOURCE) for entry in read_annotation_files(data / "annotations").annotations
    ]
    write_annotation_files(tmp_path / "rendered", AnnotationFiles(tuple(rendered), ()))
    assert warning("other", annotations=tmp_path / "rendered") == SYNTHETIC_SCORER_WARNING


def test_spans_lie_where_their_seconds_are(argv, data, checkpoint56, tmp_path, caplog):
    """Files of another frame rate than annotated: 25 instead of 50."""
    records = json.loads((data / "annotations" / "raw_annotations" / "ucf_database_train.json").read_text())
    doubled = {name: {**record, "fps": 50.0, "n_frames": 240} for name, record in records.items()}
    write_json(tmp_path / "annotations" / "raw_annotations" / "ucf_database_train.json", doubled)
    labels = []
    for annotations in (data / "annotations", tmp_path / "annotations"):
        given = argv("out", annotations=annotations)
        videos, _ = read_given(given)
        labels.append({v.name: v.frame_labels.tolist() for v in videos if v.is_abnormal})
    assert labels[0] == labels[1] and all(sum(label) == 50 for label in labels[0].values())
    assert "has 25 frames per second, annotated are 50" in caplog.text


def test_videos_that_do_not_fit_their_spans_are_left_out(argv, data, tmp_path, caplog):
    """Videos of 4.8 s: one event wholly past the end, one partly, one that ends by rounding after it, one nowhere."""
    path = "raw_annotations/ucf_database_train.json"
    records = json.loads((data / "annotations" / path).read_text())
    for i, events in enumerate(([[5.0, 9.0]], [[2.0, 400.0]], [[2.0, 5.2]], [])):
        records[f"Arson{i}_x264"] |= {"events": events, "clips": [[event] for event in events], "n_frames": 20000}
        if not events:
            names = ("clips_caption", "events_summary", "events_summary_split")
            records[f"Arson{i}_x264"] |= {name: [] for name in names}
    write_json(tmp_path / "annotations" / path, records)
    videos, _ = read_given(argv("out", annotations=tmp_path / "annotations"))
    assert [v.frame_labels.sum() for v in videos if v.is_abnormal] == [70] and len(videos) == 5
    said = "left out: ucf-crime/videos/train/Arson{}_x264.mp4: the span {} s is past the end of the video (4.8 s"
    assert said.format(0, "5.0 to 9.0") in caplog.text and said.format(1, "2.0 to 400.0") in caplog.text
    assert "Arson3_x264.mp4: annotated as abnormal without a span" in caplog.text
    assert "3 of 8 videos are left out" in caplog.text
    videos, _ = read_given(argv("out", annotations=tmp_path / "annotations", supervision="video"))
    assert [Path(v.name).stem for v in videos if v.is_abnormal] == ["Arson2_x264", "Arson3_x264"]


def test_a_table_with_videos_of_one_name(argv, data, checkpoint56, tmp_path, capsys):
    """From the table to what is trained on, and to what detection scores."""
    for place, name in (("cam1", "Arson0"), ("cam2", "Normal_Videos_0")):
        (tmp_path / "cameras" / place).mkdir(parents=True)
        (tmp_path / "cameras" / place / "base.mp4").symlink_to(data / "videos" / f"{name}_x264.mp4")
    (tmp_path / "spans.csv").write_text("video,start_s,end_s,label\ncam1/base.mp4,2,4,Fire\ncam2/base.mp4,,,\n")
    where = ["--videos", str(tmp_path / "cameras")]
    table = ["from-csv", "--csv", str(tmp_path / "spans.csv"), *where]
    for split in ("train", "test"):
        assert run_dataset([*table, "--output", str(tmp_path / split), "--split", split]) == 0
    given = {"annotations": tmp_path / "train", "videos": tmp_path / "cameras", "features_dir": tmp_path / "features"}
    videos, _ = read_given(argv("out", **given))
    assert [(v.name, v.frame_labels.sum()) for v in videos] == [
        ("mine/videos/train/cam1--base.mp4", 50),
        ("mine/videos/train/cam2--base.mp4", 0),
    ]
    options = ["--model", str(checkpoint56), "--annotations", str(tmp_path / "test"), "--device", "cpu"]
    assert detection.main([*options, *where, "--output", str(tmp_path / "detection")]) == 0
    scored = sorted(path.stem for path in (tmp_path / "detection" / "scores").iterdir())
    assert scored == ["cam1--base", "cam2--base"]
    capsys.readouterr()


def test_a_run_that_had_lost_patience_stays_ended(argv, tmp_path, monkeypatch):
    aucs = iter([0.9, 0.8, 0.95])  # the third is not asked for
    monkeypatch.setattr(ScorerTrainer, "evaluate", evaluate_with(aucs))
    options = {"patience": 1, "eval_steps": 1, "save_steps": 1, "max_steps": 6}
    train_scorer.main(argv("out", **options))
    scorer = (tmp_path / "out" / "anomaly_scorer.safetensors").read_bytes()
    train_scorer.main(argv("out", **options))
    assert (tmp_path / "out" / "anomaly_scorer.safetensors").read_bytes() == scorer
    assert next(aucs) == 0.95


def evaluate_with(aucs):
    """`evaluate` of a trainer with the next of these figures."""

    def evaluate(self, *args, **kwargs):
        metrics = {"eval_auc": next(aucs)}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    return evaluate


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss_weights": "5"}, "must be a JSON object of numbers, got 5"),
        ({"loss_weights": '{"kl": "x"}'}, "must be a JSON object of numbers"),
        ({"max_snippets": 0}, "--max-snippets 0 .* expected at least 1"),
        ({"validation_share": 1.5}, "a share between 0 and 1"),
        ({"eval_strategy": "no", "load_best_model_at_end": False, "patience": 1}, "pass --patience 0, or leave"),
        ({"model": "{llama}"}, "expected a checkpoint of type holmes_vau, got 'llama'"),
    ],
)
def test_mistakes_show_before_anything_is_read(argv, tmp_path, changes, message):
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    changes = {name: str(value).replace("{llama}", str(tmp_path)) for name, value in changes.items()}
    with pytest.raises(ValueError, match=message):
        train_scorer.main(argv("out", **changes))


def test_a_full_disk_is_no_fault_of_the_video(argv, tmp_path):
    given = argv("out", features_dir=tmp_path / "features")
    with no_file_above(1500), pytest.raises(ValueError, match="safetensors cannot be written: .* Choose another fol"):
        read_given(given)
    assert not list((tmp_path / "features").rglob("*.safetensors"))


def test_the_weight_of_video_labels_can_be_given():
    assert choose_weights("default", None, "video").video == PRESETS["default"].frame
    paper = choose_weights("paper", None, "video")
    assert (paper.video, paper.frame, paper.frame_sum) == (1.0, 0.0, 0.0)
    weights = choose_weights("default", '{"video": 0.25}', "video")
    assert (weights.video, weights.frame) == (0.25, 0.0)


def test_the_rows_of_the_benchmark_are_options(argv):
    """Each differs from the first, and has a folder of its own."""
    found = []
    for name in bench_scorer.RUNS:
        args, _ = read_options(train_scorer.KINDS, argv("out", **bench_scorer.options_of(name)))
        weights = choose_weights(args.preset, args.loss_weights, args.supervision)
        found.append((weights, args.supervision, args.lengths, args.max_snippets))
    assert len(set(found)) == len({bench_scorer.folder_of(name) for name in bench_scorer.RUNS}) == len(found)
    assert found[1][0] == PRESETS["paper"] and found[3][0] == LossWeights()


def test_too_few_videos_to_validate_on():
    videos = [video("n0", 5, []), video("n1", 5, []), video("a0", 5, [(0, 16)])]
    with pytest.raises(ValueError, match="1 abnormal training videos, expected at least 2"):
        hold_out(videos, 0.1, seed=0)
    with pytest.raises(ValueError, match="same label"):
        measure(AnomalyScorer(AnomalyScorerConfig(feature_size=4, hidden_size=16, head_dim=4)), videos[:2])


def test_loss_weights_that_are_none_are_refused(argv):
    with pytest.raises(ValueError, match="`loss_weights` has 'triplets', expected some of frame, frame_sum, video"):
        train_scorer.main(argv("out", loss_weights='{"triplets": 1}'))
