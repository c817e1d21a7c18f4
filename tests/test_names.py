"""Whatever a file is called, what is written after it has a name that can be written."""

import os

import pytest

from hivau70k_dataset.reading import AnnotationFiles
from hivau70k_dataset.schema import VideoAnnotation
from hivau70k_dataset.writing import write_annotation_files
from modeling_holmes_vau.base.files import whole_folder, write_whole
from modeling_holmes_vau.base.names import fitting_name, folded, safe_name
from training.feature_cache import FeatureCache


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("", "video"),
        (".", "video"),
        ("..", "video"),
        (". .", "video"),
        (".a", "a"),
        ("a. ", "a"),
        ("../../a", "_.._a"),
        ("a\\b", "a_b"),
        ("a\0\n\x1bb", "a___b"),
        ("\udcff", "_"),
        ("a#1=b c", "a#1=b c"),
        ("监控 视频", "监控 视频"),
        ("x" * 300, "x" * 200),
        ("ü" * 150, "ü" * 100),
        ("a" * 199 + "ü", "a" * 199),
        ("a" * 199 + ".b", "a" * 199),
    ],
)
def test_safe_names(name, safe, tmp_path):
    assert safe_name(name) == safe
    (tmp_path / safe).mkdir()
    assert os.listdir(tmp_path) == [safe]


def test_names_too_long_differ_by_a_digest():
    first, second = (fitting_name("ü" * 150 + end, ".npz") for end in "ab")
    assert first != second and first.endswith(".npz") and len(os.fsencode(first)) <= 255
    assert fitting_name("x" * 251, ".npz") == "x" * 251 + ".npz"


def test_folded_names():
    assert folded("É") == folded("e\u0301") == folded("\u00e9") != folded("e")
    assert folded("STRASSE") == folded("straße")


@pytest.mark.parametrize("name", ["x" * 255, "ü" * 127, "...", ".a"])
def test_files_and_folders_of_any_name_are_written_whole(tmp_path, name):
    assert write_whole(tmp_path / name, "text").read_text() == "text"
    (tmp_path / name).unlink()
    with whole_folder(tmp_path / name) as folder:
        (folder / "file").touch()
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("stem", ["x" * 251, "..", "a.b", "a"])
def test_features_of_any_video(tmp_path, stem):
    cache = FeatureCache.__new__(FeatureCache)  # without a model
    cache.folder = tmp_path
    path = cache.path(f"mine/videos/test/{stem}.mp4")
    assert path.parent == tmp_path / "mine/videos/test" and path.suffix == ".safetensors"
    path.parent.mkdir(parents=True)
    write_whole(path, b"")
    assert cache.path(f"mine/videos/test/{stem}c.mp4") != path


@pytest.mark.parametrize("source", ["../out", "a/b", "/tmp/a", "..", ""])
def test_a_source_does_not_lead_out_of_its_folder(tmp_path, source):
    entry = VideoAnnotation("a", source, "test", 1, 1.0, (), (), "A street.")
    with pytest.raises(ValueError, match="is no name of a source"):
        write_annotation_files(tmp_path / "in", AnnotationFiles((entry,), ()))
    assert list(tmp_path.iterdir()) == []
