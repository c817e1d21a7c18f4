"""The builder's tables: from the class, streamed, with videos, and in the form TRL takes."""

import logging
import re
from pathlib import Path

import pytest

from hivau70k_dataset import builder
from hivau70k_dataset.builder import HIVAU70k
from hivau70k_dataset.schema import AnnotationError
from tests.annotations import raw_annotations, write_json, write_release
from tests.folders import refuse


@pytest.fixture
def build_test(tmp_path):
    """A builder of the test split alone: a file found by its name belongs to one video."""
    write_release(tmp_path / "release", "test")

    def prepare(name: str, **options):
        folder = str(tmp_path / "release")
        builder = HIVAU70k(config_name=name, data_dir=folder, cache_dir=str(tmp_path / "cache"), **options)
        builder.download_and_prepare()
        return builder

    return prepare


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    folder = tmp_path_factory.mktemp("release")
    write_release(folder, "train")
    return write_release(folder, "test")


@pytest.fixture
def build(release, tmp_path):
    def prepare(name: str, **options):
        builder = HIVAU70k(config_name=name, data_dir=str(release), cache_dir=str(tmp_path / "cache"), **options)
        builder.download_and_prepare()
        return builder

    return prepare


@pytest.mark.parametrize(
    ("name", "rows"), [("clip", 4), ("event", 8), ("video", 5), ("all", 17), ("detection", 2), ("annotations", 2)]
)
def test_rows_of_each_split(build, name, rows):
    builder = build(name)
    assert {split: len(table) for split, table in builder.as_dataset().items()} == {"train": rows, "test": rows}
    assert list(builder.as_streaming_dataset(split="test")) == list(builder.as_dataset(split="test"))


def test_an_instruction_row(build):
    row = build("clip").as_dataset(split="test")[1]
    assert row == {
        "id": row["id"],
        "turn": 0,
        "source": "ucf-crime",
        "level": "clip",
        "task": "caption",
        "video": "ucf-crime/clips/test/Arson101_x264_E0C1.mp4",
        "video_name": "Arson101_x264",
        "event_index": 0,
        "clip_index": 1,
        "start_s": 4.5,
        "end_s": 9.0,
        "fps": 30.0,
        "labels": ["Arson"],
        "question": row["question"],
        "answer": "The bin burns.",
        "prompt": [{"role": "user", "content": row["question"]}],
        "completion": [{"role": "assistant", "content": "The bin burns."}],
        "video_path": None,
        "is_cut": None,
    }


def test_a_detection_row(build):
    arson, normal = build("detection").as_dataset(split="train")
    assert arson["events"] == [
        {"start_s": 2.0, "end_s": 9.0, "start_frame": 60, "end_frame": 270},
        {"start_s": 12.0, "end_s": 20.5, "start_frame": 360, "end_frame": 615},
    ]
    assert (arson["is_abnormal"], arson["labels"], arson["n_frames"], arson["duration_s"]) == (
        True,
        ["Arson"],
        900,
        30,
    )
    assert (normal["is_abnormal"], normal["labels"], normal["events"]) == (False, [], [])


def test_rows_without_annotations_keep_what_their_names_tell(tmp_path):
    name = "v=a__#1_label_B2-B6-0"
    row = {"id": 1, "type": "video", "task": "judgement", "prompt": "Any?", "anwser": "Yes."}
    write_json(tmp_path / "rows.json", [{**row, "video": f"xd-violence/videos/test/{name}.mp4"}])
    builder = HIVAU70k(config_name="all", data_dir=str(tmp_path), cache_dir=str(tmp_path / "cache"))
    builder.download_and_prepare()
    (row,) = builder.as_dataset(split="test")
    assert (row["start_s"], row["fps"], row["labels"]) == (None, None, ["Shooting", "RoadAccidents"])


def test_videos_are_found_cut_or_whole_and_the_missing_are_listed(build_test, tmp_path):
    root = tmp_path / "videos"
    whole = root / "Arson" / "Arson101_x264.mp4"  # UCF-Crime's own layout
    clip = root / "ucf-crime" / "clips" / "test" / "Arson101_x264_E0C1.mp4"
    for path in (whole, clip):
        path.parent.mkdir(parents=True)
        path.touch()
    builder = build_test("clip", video_root=str(root))
    rows = builder.as_dataset(split="test")
    assert [(row["video_path"], row["is_cut"]) for row in rows] == [
        (str(whole), False),
        (str(clip), True),
        (str(whole), False),
        (None, None),
    ]
    assert builder.missing_videos == ["ucf-crime/videos/test/Normal_Videos_101_x264.mp4"]
    assert build_test("detection", video_root=str(root)).as_dataset(split="test")[0]["video_path"] == str(whole)


def test_a_video_that_comes_later_is_not_missed_for_the_cache(build_test, tmp_path):
    root = tmp_path / "videos"
    root.mkdir()
    assert build_test("detection", video_root=str(root)).as_dataset(split="test")[0]["video_path"] is None
    (root / "Arson101_x264.mp4").touch()
    path = build_test("detection", video_root=str(root)).as_dataset(split="test")[0]["video_path"]
    assert path == str(root / "Arson101_x264.mp4")


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_one_name_for_two_files_or_two_videos_is_refused(build, build_test, tmp_path):
    root = tmp_path / "videos"
    first, second = touch(root / "a" / "Arson101_x264.mp4"), touch(root / "b" / "Arson101_x264.mp4")
    with pytest.raises(ValueError, match="Several files under .* are named 'Arson101_x264'"):
        build_test("detection", video_root=str(root))
    second.unlink()
    with pytest.raises(ValueError, match="has the name of two annotated videos"):  # of train and of test
        build("detection", video_root=str(root))
    first.unlink()
    right = touch(root / "ucf-crime" / "videos" / "test" / "Arson101_x264.mp4")
    rows = build("detection", video_root=str(root)).as_dataset()
    assert (rows["test"][0]["video_path"], rows["train"][0]["video_path"]) == (str(right), None)


def test_a_file_of_another_kind_at_its_place_is_found(build, tmp_path):
    right = touch(tmp_path / "videos" / "ucf-crime" / "videos" / "test" / "Arson101_x264.avi")
    rows = build("detection", video_root=str(tmp_path / "videos")).as_dataset()
    assert (rows["test"][0]["video_path"], rows["train"][0]["video_path"]) == (str(right), None)


def test_links_among_the_videos(build_test, tmp_path):
    root = tmp_path / "videos"
    video = touch(tmp_path / "elsewhere" / "Arson101_x264.mp4")
    (root / "a").mkdir(parents=True)
    (root / "a" / "again").symlink_to(root)  # a loop
    (root / "here").symlink_to(video.parent)
    (root / "there").symlink_to(video.parent)
    (root / "Normal_Videos_101_x264.mp4").symlink_to(tmp_path / "gone.mp4")
    builder = build_test("detection", video_root=str(root))
    assert builder.missing_videos == ["ucf-crime/videos/test/Normal_Videos_101_x264.mp4"]
    assert builder.as_dataset(split="test")[0]["video_path"] == str(root / "here" / "Arson101_x264.mp4")


def test_a_link_does_not_take_a_video_out_of_its_split(build, tmp_path):
    root = tmp_path / "videos"
    right = touch(root / "ucf-crime" / "videos" / "test" / "Arson101_x264.avi")
    (root / "all").symlink_to(right.parent)  # found before the folder it leads to
    rows = build("detection", video_root=str(root)).as_dataset()
    assert (rows["test"][0]["video_path"], rows["train"][0]["video_path"]) == (str(right), None)


def test_a_video_under_two_names_is_found_by_both(build_test, tmp_path):
    root = tmp_path / "videos"
    video = touch(root / "0001.mp4")
    (root / "Arson101_x264.mp4").symlink_to(video)
    path = build_test("detection", video_root=str(root)).as_dataset(split="test")[0]["video_path"]
    assert path == str(root / "Arson101_x264.mp4")


def test_folders_that_cannot_be_read_are_told(build_test, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(logging.getLogger("datasets"), "propagate", True)
    root = tmp_path / "videos"
    touch(root / "locked" / "Arson101_x264.mp4")
    refuse(monkeypatch, root / "locked")
    assert len(build_test("detection", video_root=str(root)).missing_videos) == 2
    assert caplog.messages[0] == f"{root / 'locked'}: cannot be searched: Permission denied"


def test_bad_arguments(tmp_path):
    with pytest.raises(ValueError, match="`data_dir` is not given"):
        HIVAU70k(config_name="clip", cache_dir=str(tmp_path)).download_and_prepare()
    with pytest.raises(AnnotationError, match="does not exist"):
        HIVAU70k(config_name="clip", data_dir=str(tmp_path / "nowhere"), cache_dir=str(tmp_path))


def test_changed_annotations_are_not_taken_from_the_cache(tmp_path):
    def rows() -> int:
        builder = HIVAU70k(
            config_name="annotations", data_dir=str(tmp_path / "data"), cache_dir=str(tmp_path / "cache")
        )
        builder.download_and_prepare()
        return builder.as_dataset(split="test").num_rows

    path = write_release(tmp_path / "data") / "raw_annotations" / "ucf_database_test.json"
    assert rows() == 2
    path.write_text(path.read_text().replace("Normal_Videos_101_x264", "Normal_Videos_102_x264"))
    write_json(path.with_name("mine_test.json"), {"camera": raw_annotations()["Arson101_x264"]})
    assert rows() == 3


def test_the_chat_columns_are_what_trl_takes(build):
    trl = pytest.importorskip("trl")
    for row in build("all").as_dataset(split="test"):
        assert trl.data_utils.is_conversational(row)


def test_the_released_files(released, tmp_path):
    counts = {"clip": 2207, "event": 734, "video": 398, "all": 3339, "detection": 251, "annotations": 251}
    for name, count in counts.items():
        builder = HIVAU70k(config_name=name, data_dir=str(released), cache_dir=str(tmp_path))
        builder.download_and_prepare()
        assert {split: len(table) for split, table in builder.as_dataset().items()} == {"test": count}


def test_the_script_imports_every_file_that_its_files_import():
    """datasets 3.x copies what a loading script imports itself, and nothing that those files import."""
    folder = Path(builder.__file__).parent

    def imported(name: str) -> set[str]:
        return set(re.findall(r"^from \.(\w+) import", (folder / f"{name}.py").read_text(), re.MULTILINE))

    there = imported("builder")
    needed, waiting = set(there), list(there)
    while waiting:
        new = imported(waiting.pop()) - needed
        needed |= new
        waiting += new
    assert needed == there
