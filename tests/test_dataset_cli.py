"""`python -m hivau70k_dataset`: what a person at the terminal sees."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hivau70k_dataset.cli import main
from hivau70k_dataset.reading import read_annotation_file, read_annotation_files
from tests.annotations import raw_annotations, released_row, write_json, write_lines, write_release
from tests.videos import write_video


def test_validate_writes_its_report_and_a_cleaned_copy(tmp_path, capsys):
    source = write_release(tmp_path / "release")
    path = source / "instruction" / "merge_instruction_test_final.jsonl"
    path.write_text(path.read_text() + json.dumps(released_row(id=99, anwser=" spaced ")) + "\n{broken\n")
    before = path.read_bytes()
    argv = [
        "validate",
        "--annotations",
        str(source),
        "--output",
        str(tmp_path / "report"),
        "--fix",
        str(tmp_path / "fix"),
    ]
    assert main(argv) == 1
    out = capsys.readouterr().out
    assert "1  unreadable" in out and "1  white_space" in out and "1 unreadable entries left out" in out
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert report["counts"]["instructions"]["white_space"] == 1
    assert (tmp_path / "report" / "report.txt").read_text() in out
    changes = json.loads((tmp_path / "fix" / "changes.json").read_text())
    assert len(changes["changes"]) == 1 and "line 19 is not JSON" in changes["left_out"][0]
    assert len(read_annotation_files(tmp_path / "fix").instructions) == 18
    assert path.read_bytes() == before
    assert main(["validate", "--annotations", str(write_release(tmp_path / "good"))]) == 0


def test_validate_compares_with_ground_truth(tmp_path, capsys):
    truth = tmp_path / "truth.txt"
    truth.write_text("Arson101_x264 Arson 60 270 360 615\n")
    assert main(["validate", "--annotations", str(write_release(tmp_path / "a")), "--ground-truth", str(truth)]) == 0
    assert "mean temporal IoU with the ground truth: 1.0000 (1 abnormal videos)" in capsys.readouterr().out


def test_stats(tmp_path, capsys):
    assert main(["stats", "--annotations", str(write_release(tmp_path / "a")), "--output", str(tmp_path / "s")]) == 0
    assert "**test**: 2 annotated videos, 1 of them abnormal." in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == ["stats.json", "stats.md", "stats.png"]
    capsys.readouterr()
    assert main(["stats", "--annotations", str(tmp_path / "a"), "--sample", "nobody"]) == 1
    assert "error: --sample: no annotated video is called 'nobody'; there are" in capsys.readouterr().err


def test_instructions(tmp_path):
    source = write_release(tmp_path / "release")
    output = tmp_path / "rows" / "mine.jsonl"
    assert main(["instructions", "--annotations", str(source), "--output", str(output), "--seed", "1"]) == 0
    rows = read_annotation_file(output)
    assert len(rows) == 17 and rows[0].id == "Arson101_x264_judgement"
    for refused in (output, tmp_path / "rows.json"):  # there already; not what the reader takes
        assert main(["instructions", "--annotations", str(source), "--output", str(refused)]) == 1


def test_export(tmp_path, capsys):
    source = write_release(tmp_path / "release")
    (tmp_path / "videos").mkdir()
    argv = [
        "export",
        "--annotations",
        str(source),
        "--output",
        str(tmp_path / "out"),
        "--videos",
        str(tmp_path / "videos"),
    ]
    assert main(argv) == 0
    assert "2 videos are missing" in capsys.readouterr().out
    assert (tmp_path / "out" / "clip" / "test-00000-of-00001.parquet").is_file()
    assert main(argv) == 1
    assert "error: " in capsys.readouterr().err


@pytest.fixture
def to_cut(tmp_path) -> tuple[Path, Path]:
    """Annotations of a video of 60 frames at 10 per second, and of one that is missing."""
    record = raw_annotations()["Arson101_x264"]
    record.update(n_frames=60, fps=10.0, events=[[0.5, 3.0], [4.0, 5.5]])
    record["clips"] = [[[0.5, 1.5], [1.5, 3.0]], [[4.0, 5.5]]]
    records = {"Arson101_x264": record, "Arson102_x264": record}
    write_json(tmp_path / "release" / "raw_annotations" / "ucf_database_test.json", records)
    (tmp_path / "videos").mkdir()
    write_video(tmp_path / "videos" / "Arson101_x264.mp4", num_frames=60, rate=10)
    return tmp_path / "release", tmp_path / "videos"


def test_cut(to_cut, tmp_path, capsys):
    source, videos = to_cut
    (videos / "._Arson102_x264.mp4").touch()
    argv = ["cut", "--annotations", str(source), "--videos", str(videos), "--output", str(tmp_path / "out")]
    assert main([*argv, "--workers", "1"]) == 1
    captured = capsys.readouterr()
    assert "5 encoded), 0 already there, 0 failed, 1 videos missing" in captured.out
    assert "missing: ucf-crime/videos/test/Arson102_x264.mp4" in captured.err
    assert f"note: {videos}: 1 file left out: 1 hidden" in captured.err
    names = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.mp4")}
    assert names == {
        f"ucf-crime/{name}.mp4"
        for name in (
            "events/test/Arson101_x264_E0",
            "events/test/Arson101_x264_E1",
            "clips/test/Arson101_x264_E0C0",
            "clips/test/Arson101_x264_E0C1",
            "clips/test/Arson101_x264_E1C0",
        )
    }
    (tmp_path / "out" / "ucf-crime" / "events" / "test" / "Arson101_x264_E1.mp4").unlink()
    assert main([*argv, "--workers", "1"]) == 1
    assert "1 encoded), 4 already there" in capsys.readouterr().out


def test_rows_alone_tell_nothing_to_cut(tmp_path, capsys):
    path = write_lines(tmp_path / "rows.jsonl", [released_row()])
    assert main(["cut", "--annotations", str(path), "--videos", str(tmp_path), "--output", str(tmp_path / "o")]) == 1
    assert "nothing tells where to cut" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["stats", "validate", "instructions", "export", "cut"])
def test_one_line_for_annotations_that_are_not_there(tmp_path, capsys, command):
    extra = {"instructions": ["--output", "x"], "export": ["--output", "x"]}.get(command, [])
    extra = ["--output", "x", "--videos", str(tmp_path)] if command == "cut" else extra
    assert main([command, "--annotations", str(tmp_path / "nowhere"), *extra]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "nowhere does not exist" in err


def test_it_runs_as_a_module(tmp_path):
    argv = [sys.executable, "-m", "hivau70k_dataset", "stats", "--annotations", str(write_release(tmp_path))]
    run = subprocess.run(argv, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert run.returncode == 0 and "2 annotated videos" in run.stdout


def test_of_many_missing_videos_cut_names_five_and_a_file(to_cut, tmp_path, capsys):
    source, videos = to_cut
    path = source / "raw_annotations" / "ucf_database_test.json"
    records = json.loads(path.read_text(encoding="utf-8"))
    write_json(path, {f"Arson10{number}_x264": records["Arson101_x264"] for number in range(2, 9)})
    output = tmp_path / "out"
    given = ["--annotations", str(source), "--videos", str(videos), "--output", str(output)]
    assert main(["cut", *given, "--workers", "1"]) == 1
    captured = capsys.readouterr()
    names = [f"missing: ucf-crime/videos/test/Arson10{number}_x264.mp4" for number in range(2, 9)]
    assert captured.err.splitlines() == [*names[:5], f"2 more: see {output / 'errors.txt'}"]
    assert (output / "errors.txt").read_text(encoding="utf-8").splitlines() == names
    assert "7 videos missing" in captured.out
    assert main(["cut", *given[:-1], str(path)]) == 1
    assert capsys.readouterr().err == f"error: --output {path}: is a file; pass a folder\n"
