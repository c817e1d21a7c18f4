"""Annotation files are found, told apart and read, or refused with one clear error."""

import pytest

from hivau70k_dataset.reading import digest, find_annotation_files, read_annotation_file, read_annotation_files
from hivau70k_dataset.schema import AnnotationError
from hivau70k_dataset.writing import write_annotation_files
from tests.annotations import raw_annotations, released_row, write_json, write_lines, write_release


def test_files_in_the_layout_of_the_release_or_in_the_folder_itself(tmp_path):
    write_release(tmp_path / "layout")
    (tmp_path / "layout" / "changes.json").write_text("{}")  # as `validate --fix` writes it
    names = [path.name for path in find_annotation_files(tmp_path / "layout")]
    assert names == ["ucf_database_test.json", "merge_instruction_test_final.jsonl"]
    (tmp_path / "layout" / "more_test.json").write_text("{}")
    with pytest.raises(AnnotationError, match="more_test.json lies beside raw_annotations/"):
        find_annotation_files(tmp_path / "layout")
    flat = tmp_path / "flat"
    write_json(flat / "ucf_database_train.json", raw_annotations())
    (flat / ".hidden.json").write_text("{}")
    files = read_annotation_files(flat)
    assert len(files.annotations) == 2 and files.splits == ("train",)
    assert read_annotation_files(flat / "ucf_database_train.json") == files


def test_writing_and_reading_again_loses_nothing(tmp_path):
    write_release(tmp_path / "test")
    write_release(tmp_path / "test", split="train")
    files = read_annotation_files(tmp_path / "test")
    paths = write_annotation_files(tmp_path / "clean", files)
    assert sorted(path.name for path in paths) == ["ucf-crime_test.jsonl"] * 2 + ["ucf-crime_train.jsonl"] * 2
    again = read_annotation_files(tmp_path / "clean")
    assert sorted(map(repr, again.annotations)) == sorted(map(repr, files.annotations))
    assert sorted(map(repr, again.instructions)) == sorted(map(repr, files.instructions))
    assert again.splits == ("train", "test")


def test_source_and_split_come_from_the_name_of_the_file(tmp_path):
    camera = {"camera 7": raw_annotations()["Arson101_x264"]}
    (entry,) = read_annotation_file(write_json(tmp_path / "station_val.json", camera))
    assert (entry.source, entry.split) == ("station", "validation")
    with pytest.raises(AnnotationError, match="nothing tells the source"):
        read_annotation_file(write_json(tmp_path / "train.json", camera))
    with pytest.raises(AnnotationError, match="nothing tells the split"):
        read_annotation_file(write_json(tmp_path / "ucf.json", raw_annotations()))
    (entry,) = read_annotation_file(tmp_path / "train.json", source="station")
    assert (entry.source, entry.split) == ("station", "train")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a_test.json", b"", "the file is empty"),
        ("a_test.json", b'{"x": ', "not JSON: .* at line 1"),
        ("a_test.json", b'{"x": 1}\n{"y": 2}', "JSON lines end in .jsonl"),
        ("a_test.json", b"\xff\xfe", "not UTF-8 text"),
        ("a_test.json", b'{"x": {}, "x": {}}', "video 'x' stands there twice"),
        ("a_test.json", b'{"x": {"fps": 1, "fps": 1}}', "video 'x': `fps` stands there twice"),
        ("a_test.json", b'{"x": {"video": "y"}}', "video 'x': `video`: got 'y', expected the same"),
        ("a_test.json", b"[" * 100_000, "not JSON that can be read"),
        ("a_test.json", b"9" * 5_000, "not JSON that can be read"),
        ("a_test.json", b'{"x": 7}', "got int, expected an object for one video"),
        ("a_test.json", b"[7]", "entry 0: got int, expected an object"),
        ("a_test.json", b"7", "got int, expected an object"),
        ("a_test.jsonl", b'{"id": 1, "id": 2}', "line 1: `id` stands there twice"),
        ("a_test.jsonl", b'{"id": 1,}\n', "line 1 is not JSON"),
        ("a_test.jsonl", b'{"video": "x"}', "`clips` is missing|`n_frames` is missing|`clips_caption` is missing"),
        ("a_test.jsonl", b'{"fps": 1}', "`video` is missing"),
    ],
)
def test_files_that_are_no_annotations(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AnnotationError, match=message) as error:
        read_annotation_file(tmp_path / name)
    assert str(error.value).startswith(str(tmp_path / name))


def test_two_splits_in_a_name_are_refused(tmp_path):
    path = write_json(tmp_path / "speed_test_train.json", {})
    with pytest.raises(AnnotationError, match="its name tells two splits, test and train"):
        read_annotation_file(path)
    errors = []
    assert read_annotation_file(path, errors.append) == [] and len(errors) == 1


def test_a_source_that_is_no_folder_name(tmp_path):
    with pytest.raises(AnnotationError, match="'..' is no name of a source"):
        read_annotation_file(write_json(tmp_path / ".._test.json", {"camera": raw_annotations()["Arson101_x264"]}))


def test_a_video_in_two_files(tmp_path):
    for name in ("cam_test.json", "cam_test_2.json"):
        write_json(tmp_path / name, {"v1": raw_annotations()["Arson101_x264"]})
    with pytest.raises(AnnotationError, match=r"cam_test_2.json: video 'v1' is annotated in .*cam_test.json too"):
        read_annotation_files(tmp_path)
    errors = []
    assert len(read_annotation_files(tmp_path, errors.append).annotations) == len(errors) == 1


def test_files_in_which_nothing_stands(tmp_path):
    with pytest.raises(AnnotationError, match="nothing stands in them"):
        read_annotation_files(write_json(tmp_path / "cam_test.json", []))


def test_a_line_cut_off_loses_that_line_alone(tmp_path):
    path = write_lines(tmp_path / "rows.jsonl", [released_row(), released_row(id=1)])
    path.write_text(path.read_text()[:-40])
    errors = []
    assert [entry.id for entry in read_annotation_file(path, errors.append)] == ["0"]
    assert len(errors) == 1 and "line 2 is not JSON" in str(errors[0])


def test_a_video_twice_in_one_file(tmp_path):
    entry = {"video": "Arson101_x264", **raw_annotations()["Arson101_x264"]}
    with pytest.raises(AnnotationError, match="'Arson101_x264' stands there twice"):
        read_annotation_file(write_lines(tmp_path / "ucf_test.jsonl", [entry, entry]))


def test_folders_without_annotations(tmp_path):
    with pytest.raises(AnnotationError, match="holds no annotation files"):
        find_annotation_files(tmp_path)
    with pytest.raises(AnnotationError, match="does not exist"):
        find_annotation_files(tmp_path / "nowhere")


def test_the_digest_follows_the_content(tmp_path):
    write_release(tmp_path)
    before = digest(tmp_path)
    path = tmp_path / "instruction" / "merge_instruction_test_final.jsonl"
    path.write_text(path.read_text() + "\n")
    assert digest(tmp_path) != before
