import pytest

from modeling_holmes_vau.base.files import whole_folder, write_whole


def test_folders_are_written_whole_or_not_at_all(tmp_path):
    with pytest.raises(RuntimeError), whole_folder(tmp_path / "out") as folder:
        (folder / "half").touch()
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with whole_folder(tmp_path / "out") as folder:
        (folder / "file").touch()
        assert not (tmp_path / "out").exists()
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["file"]
    with pytest.raises(ValueError, match="already exists"), whole_folder(tmp_path / "out"):
        pass


def test_files_are_written_whole_or_not_at_all(tmp_path):
    write_whole(tmp_path / "file", "first")
    with pytest.raises(TypeError):
        write_whole(tmp_path / "file", 7)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert write_whole(tmp_path / "file", b"second").read_text() == "second"
