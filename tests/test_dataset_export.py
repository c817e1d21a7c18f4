"""The exported folder loads by `load_dataset`, and nothing is lost on the way."""

import datasets
import pytest
import yaml

from hivau70k_dataset import export as export_module
from hivau70k_dataset.export import export
from hivau70k_dataset.reading import read_annotation_files
from hivau70k_dataset.records import annotation_from_dict, instruction_from_dict
from tests.annotations import raw_annotations, write_json, write_release
from tests.videos import write_video


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")


def load(folder, name, **options):
    return datasets.load_dataset(str(folder), name, cache_dir=str(folder.parent / "cache"), **options)


def test_round_trip(tmp_path):
    source = write_release(tmp_path / "release")
    write_release(source, "train")
    folder, missing = export(source, tmp_path / "hivau70k")
    assert missing == [] and folder == tmp_path / "hivau70k"
    files = read_annotation_files(source)
    rows = load(folder, "all")
    assert [instruction_from_dict(row) for split in rows for row in rows[split]] == sorted(
        files.instructions, key=lambda entry: list(rows).index(entry.split)
    )
    rows = load(folder, "annotations")
    assert {annotation_from_dict(row) for split in rows for row in rows[split]} == set(files.annotations)
    assert load(folder, "event", split="test").num_rows == 8
    assert datasets.get_dataset_config_names(str(folder)) == [*export_module.CONFIGS]
    assert datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"), split="test").num_rows == 17


def test_the_released_files_survive_it(released, tmp_path):
    folder, _ = export(released, tmp_path / "hivau70k")
    files = read_annotation_files(released)
    counts = {name: load(folder, name)["test"].num_rows for name in ("clip", "event", "video", "detection")}
    assert counts == {"clip": 2207, "event": 734, "video": 398, "detection": 251}
    assert [instruction_from_dict(row) for row in load(folder, "all")["test"]] == list(files.instructions)
    assert [annotation_from_dict(row) for row in load(folder, "annotations")["test"]] == list(files.annotations)


def test_the_card(tmp_path):
    folder, _ = export(write_release(tmp_path / "release"), tmp_path / "hivau70k")
    _, front, text = (folder / "README.md").read_text().split("---\n", 2)
    front = yaml.safe_load(front)
    assert front["license"] == "mit" and front["pretty_name"] == "HIVAU-70k"
    assert {"split": "test", "path": "event/test-*.parquet"} in front["configs"][2]["data_files"]
    assert "| clip | 4 | 4 (4 caption) | 4 |" in text and "@inproceedings{zhang2025holmesvau" in text


def test_the_card_of_other_data_does_not_claim_to_be_hivau(tmp_path):
    path = write_json(tmp_path / "station_train.json", {"camera": raw_annotations()["Arson101_x264"]})
    folder, _ = export(path, tmp_path / "out")
    _, front, text = (folder / "README.md").read_text().split("---\n", 2)
    front = yaml.safe_load(front)
    assert "license" not in front and front["pretty_name"] == "Video anomaly annotations from station"
    assert [config["config_name"] for config in front["configs"]] == ["detection", "annotations"]  # there are no rows
    assert "UCF-Crime" not in text and "They are no part of HIVAU-70k" in text


def test_videos_by_path_and_embedded(tmp_path, monkeypatch):
    source = write_release(tmp_path / "release")
    video = tmp_path / "videos" / "Arson101_x264.mp4"
    video.parent.mkdir()
    write_video(video, num_frames=3)
    folder, missing = export(source, tmp_path / "linked", videos=video.parent)
    assert missing == ["ucf-crime/videos/test/Normal_Videos_101_x264.mp4"]
    assert "1 videos are missing" in (folder / "README.md").read_text()
    rows = load(folder, "video", split="test")
    assert rows.features["video_file"] == datasets.Video(decode=False)
    assert rows[0]["video_file"] == {"bytes": None, "path": str(video)} and rows[0]["is_cut"] is False
    assert rows[-1]["video_file"] is None

    monkeypatch.setattr(export_module, "SHARD_BYTES", 1)
    folder, _ = export(source, tmp_path / "embedded", videos=video.parent, embed_videos=True)
    video_bytes = video.read_bytes()
    video.unlink()
    rows = load(folder, "video", split="test")
    assert rows[0]["video_file"] == {"bytes": video_bytes, "path": "Arson101_x264.mp4"}
    assert rows[-1]["video_file"] is None
    names = sorted(path.name for path in (folder / "video").iterdir())
    assert names == [f"test-{i:05d}-of-00005.parquet" for i in range(5)]


def test_refusals_leave_nothing_behind(tmp_path):
    source = write_release(tmp_path / "release")
    with pytest.raises(ValueError, match="no videos to embed"):
        export(source, tmp_path / "out", embed_videos=True)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(ValueError, match="not an empty folder"):
        export(source, tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="video folder"):
        export(source, tmp_path / "other", videos=tmp_path / "nowhere")
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith("datasets")) == [
        "out",
        "release",
    ]
