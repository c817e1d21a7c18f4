"""The exported folder loads by `load_dataset`, and nothing is lost on the way."""

import shutil
from pathlib import Path

import datasets
import pytest
import yaml

from hivau70k_dataset import export as export_module
from hivau70k_dataset.export import export
from hivau70k_dataset.reading import read_annotation_files
from hivau70k_dataset.records import annotation_from_dict, instruction_from_dict
from hivau70k_dataset.videos import VideoFolder
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


def test_videos_by_path(tmp_path):
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
    assert export_module.VIDEOS not in datasets.get_dataset_config_names(str(folder))


@pytest.fixture
def with_cuts(tmp_path):
    """A release of two splits; the test videos, of another kind and elsewhere than in the layout, and one clip cut."""
    source = write_release(write_release(tmp_path / "release"), "train")
    root = tmp_path / "videos"
    clip = root / "ucf-crime" / "clips" / "test" / "Arson101_x264_E0C1.mp4"
    clip.parent.mkdir(parents=True)
    write_video(clip, num_frames=3)
    for i, split in enumerate(("train", "test")):
        for name in ("Arson101_x264.mkv", "Normal_Videos_101_x264.mp4"):
            video = root / "ucf-crime" / "videos" / split / name
            video.parent.mkdir(parents=True, exist_ok=True)
            write_video(video, num_frames=4 + i)
    return source, root


def test_each_embedded_video_stands_there_once(with_cuts, tmp_path, capsys):
    source, root = with_cuts
    folder, _ = export(source, tmp_path / "out", videos=root, embed_videos=True, progress=True, shard_bytes=1)
    size = sum(path.stat().st_size for path in root.rglob("*.m??"))
    assert f"will embed 5 videos, {size / 1e6:.1f} MB" in capsys.readouterr().err
    contents = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.m??")}
    shutil.rmtree(root)
    folder = folder.rename(tmp_path / "elsewhere")
    videos = load(folder, "videos")
    assert {split: len(rows) for split, rows in videos.items()} == {"train": 2, "test": 3}
    stored = [row for rows in videos.values() for row in rows]
    assert {row["video_file"]: row["content"]["bytes"] for row in stored} == contents and len(stored) == 5
    for name in ("all", "clip", "event", "video", "detection"):
        rows = load(folder, name)
        assert {row["video_file"] for row in rows["test"]} <= set(videos["test"]["video_file"])
        assert {row["video_file"] for row in rows["train"]} == set(videos["train"]["video_file"])
        assert rows["test"].features["video_file"] == datasets.Value("string")
    clips = load(folder, "clip", split="test")
    assert [(row["video_file"].split("/", 1)[1], row["is_cut"]) for row in clips][:2] == [
        ("videos/test/Arson101_x264.mkv", False),
        ("clips/test/Arson101_x264_E0C1.mp4", True),
    ]
    parquet = {path: path.stat().st_size for path in folder.rglob("*.parquet")}
    assert sum(parquet[path] for path in parquet if path.parent.name != "videos") < 200_000
    assert len(list((folder / "videos").iterdir())) == 5  # of so small shards


def test_embedded_videos_come_out_as_they_were(with_cuts, tmp_path):
    """As the README of the dataset does it: what comes out is a folder of videos again."""
    source, root = with_cuts
    folder, _ = export(source, tmp_path / "out", videos=root, embed_videos=True)
    for row in load(folder, "videos", split="test"):
        path = tmp_path / "again" / row["video_file"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(row["content"]["bytes"])
    found = VideoFolder(tmp_path / "again")
    for entry in read_annotation_files(source).instructions:
        if entry.split == "test":
            assert Path(found.find(entry).path).read_bytes() == Path(VideoFolder(root).find(entry).path).read_bytes()


def test_missing_and_repeated_videos_embedded(tmp_path):
    source, root = write_release(tmp_path / "release"), tmp_path / "videos"
    place = root / "ucf-crime" / "videos" / "test"
    place.mkdir(parents=True)
    write_video(place / "Arson101_x264.mp4", num_frames=3)
    folder, missing = export(source, tmp_path / "out", videos=root, embed_videos=True)
    assert len(missing) == 1 and load(folder, "video", split="test")[-1]["video_file"] is None
    (place / "Normal_Videos_101_x264.mp4").symlink_to(place / "Arson101_x264.mp4")
    folder, _ = export(source, tmp_path / "again", videos=root, embed_videos=True)
    (video,) = load(folder, "videos", split="test")
    assert set(load(folder, "all", split="test")["video_file"]) == {video["video_file"]}


def test_no_videos_to_embed_and_too_large_ones(tmp_path):
    source, root = write_release(tmp_path / "release"), tmp_path / "videos"
    root.mkdir()
    folder, missing = export(source, tmp_path / "out", videos=root, embed_videos=True)
    assert len(missing) == 2 and not (folder / "videos").exists()
    with open(root / "Arson101_x264.mp4", "wb") as file:
        file.truncate(2**31)  # a hole: it takes no room
    with pytest.raises(
        ValueError, match="Arson101_x264.mp4: has 2.1 GB, .* at most 2.1 GB a video. Leave --embed-vid"
    ):
        export(source, tmp_path / "large", videos=root, embed_videos=True)
    assert not (tmp_path / "large").exists()


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
