import importlib.metadata
import io
import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import PackagePath
from pathlib import Path
from types import SimpleNamespace

import pytest
from safetensors.torch import load_file, save_file

import modeling_holmes_vau
from modeling_holmes_vau import cli
from modeling_holmes_vau.base.files import write_whole
from modeling_holmes_vau.checkpoint.build import SYNTHETIC_WARNING
from modeling_holmes_vau.checkpoint.folder import CheckpointError
from modeling_holmes_vau.checkpoint.known import MINI, default_checkpoint
from modeling_holmes_vau.cli import inputs, outputs
from tests.folders import no_file_above, refuse
from tests.videos import write_video


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("clip") / "clip.mp4", num_frames=250)


@pytest.fixture
def analyze(checkpoint56, capsys):
    """Run `holmes-vau analyze` with the tiny checkpoint: exit status, stdout, stderr."""

    def run(*arguments):
        common = ["--model", str(checkpoint56), "--max-new-tokens", "3", "--device", "cpu"]
        status = cli.main(["analyze", *map(str, arguments), *common])
        out, err = capsys.readouterr()
        return status, out, err

    return run


def errors(err: str) -> list[str]:
    """Lines a person reads: progress bars are no lines."""
    assert "Traceback" not in err
    return [line for line in err.replace("\r", "\n").splitlines() if line.startswith("error:")]


def test_summary_and_report(analyze, clip, tmp_path):
    status, out, err = analyze(clip, "--output", tmp_path, "--prompt", "Why?", "--num-frames", "8")
    assert status == 0 and not errors(err)
    for part in (str(clip), "0:10.0, 250 frames at 25.00 fps; 16 scored, 8 shown", "question Why?", "events"):
        assert part in out
    folder = tmp_path / "clip"
    assert f"report   {folder / 'report.html'}" in out
    assert {p.name for p in folder.iterdir()} == set(outputs.REPORT_FILES)
    assert not (tmp_path / "index.html").exists()  # of one video
    analysis = json.loads((folder / "analysis.json").read_text(encoding="utf-8"))
    assert analysis["prompt"] == "Why?" and len(analysis["sampled_frame_indices"]) == 8


def test_json_is_one_line_a_video(analyze, clip):
    status, out, _ = analyze(clip, "--json", "--sampler", "top_k", "--stride", "5")
    (line,) = out.splitlines()
    analysis = json.loads(line)
    assert status == 0 and analysis["sampler"] == "top_k" and len(analysis["scores"]) == 50


def test_segment(analyze, clip, tmp_path):
    status, out, _ = analyze(clip, "--segment", "2", "6", "--output", tmp_path)
    assert ", analysed 0:02.0 to 0:06.0\n" in out
    analysis = json.loads((tmp_path / "clip" / "analysis.json").read_text(encoding="utf-8"))
    assert status == 0 and analysis["segment_s"] == [2.0, 6.0] and analysis["dense_frame_indices"][0] == 50
    status, _, err = analyze(clip, "--segment", "20", "30")
    assert status == 1 and "`start_s` must lie within the video" in errors(err)[0]


def test_many_videos_and_bad_ones(analyze, clip, tmp_path):
    """One bad file does not stop the rest; each gets one line; the status says so."""
    names = ["a#1=b c.mp4", "监控 视频.mp4"]
    for name in names:
        shutil.copy(clip, tmp_path / name)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "cut.mp4").write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    (tmp_path / "folder").mkdir()
    missing = tmp_path / "missing.mp4"
    status, out, err = analyze(tmp_path, missing, tmp_path / "folder", tmp_path / "*.nothing")
    assert status == 1
    lines = errors(err)
    for bad in ("empty.mp4", "text.mp4", "cut.mp4", "missing.mp4", "folder", "*.nothing"):
        assert sum(bad in line for line in lines) == 1, bad
    assert len(lines) == 6
    assert all(str(tmp_path / name) in out for name in names) and out.count("  answer ") == 2


def test_equal_names_get_folders_of_their_own(tmp_path):
    folders = outputs.report_folders(["a/x.mp4", "b/x.mp4", "b/x.avi", "x-2.mp4"], str(tmp_path), {})
    assert [folder.name for folder in folders.values()] == ["x", "x-2", "x-3", "x-2-2"]


ODD_NAMES = [
    "...mp4",
    "..mp4",
    ".mp4",
    ".hidden.mp4",
    "..",
    "dots...mp4",
    "space .mp4",
    " .mp4",
    "a\nb.mp4",
    "\udcff.mp4",
    f"{'x' * 251}.mp4",
    f"{'ü' * 125}.mp4",
]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_no_name_leads_out_of_the_output_folder(tmp_path, name):
    """Nor to a name that file systems refuse or drop letters of."""
    videos = [os.path.join(folder, name) for folder in ("a", "b")]
    first, second = outputs.report_folders(videos, str(tmp_path / "out"), {}).values()
    for folder in (first, second):
        assert folder.parent == tmp_path / "out" and folder.name.strip(". ") == folder.name != ""
        folder.mkdir(parents=True)
        write_whole(folder / "report.html", "")
    assert first.resolve() != second.resolve()


def write_analysis(folder: Path, video: Path | str) -> None:
    folder.mkdir(parents=True)
    (folder / "analysis.json").write_text(
        json.dumps({"video": str(video), "scores": [0.5], "answer": "", "options": {}})
    )
    (folder / "report.html").touch()


def test_names_that_differ_in_case_alone_get_folders_of_their_own(tmp_path):
    names = ["A.mp4", "a.mp4", "a.MP4", "\u00e9.mp4", "e\u0301.mp4", "É.mp4"]
    folders = outputs.report_folders(names, str(tmp_path), {})
    assert [folder.name for folder in folders.values()] == ["A", "a-2", "a-3", "\u00e9", "e\u0301-2", "É-3"]
    write_analysis(tmp_path / "B", tmp_path / "B.mp4")  # an earlier call's
    assert outputs.report_folders([str(tmp_path / "b.mp4")], str(tmp_path), {}) == {
        str(tmp_path / "b.mp4"): tmp_path / "b-2"
    }
    both = [str(tmp_path / name) for name in ("b.mp4", "B.mp4")]
    assert [folder.name for folder in outputs.report_folders(both, str(tmp_path), {}).values()] == ["b-2", "B"]


@pytest.mark.parametrize(
    "content",
    [b"[]", b"{", b"", b"\xff\xfe\0", b'{"video": 3}', b'{"video": "a.mp4"}', b"[" * 10**5, b"null", "folder", None],
)
def test_what_is_somebody_elses_is_left_alone(analyze, clip, tmp_path, content):
    folder = tmp_path / "clip"
    folder.mkdir()
    (folder / "report.html").write_text("mine")
    if content == "folder":
        (folder / "analysis.json").mkdir()
    elif content is not None:
        (folder / "analysis.json").write_bytes(content)
    before = sorted((path.name, path.is_dir() or path.read_bytes()) for path in folder.iterdir())
    assert outputs.report_folders([str(clip)], str(tmp_path), {}) == {str(clip): tmp_path / "clip-2"}
    if content in (b"[]", "folder"):  # the whole way, which takes longer
        status, out, err = analyze(clip, "--output", tmp_path, "--resume")
        assert status == 0 and not errors(err) and (tmp_path / "clip-2" / "report.html").is_file()
        _, _, err = analyze(clip, "--output", tmp_path, "--resume")
        assert f"done before: {clip}" in err
    assert sorted((path.name, path.is_dir() or path.read_bytes()) for path in folder.iterdir()) == before


@pytest.mark.parametrize("kind", ["file", "broken link", "other files", "half a report"])
def test_where_a_report_may_go(tmp_path, kind):
    folder, video = tmp_path / "clip", str(tmp_path / "clip.mp4")
    if kind == "file":
        folder.touch()
    elif kind == "broken link":
        folder.symlink_to(tmp_path / "gone")
    elif kind == "other files":
        folder.mkdir()
        (folder / "notes.txt").touch()
    else:
        write_analysis(folder, video)
        (folder / "report.html").unlink()
    (found,) = outputs.report_folders([video], str(tmp_path), {}).values()
    assert found.name == ("clip" if kind in ("other files", "half a report") else "clip-2")
    assert not outputs.is_done(found, None)


def test_what_a_folder_holds_beside_videos_is_counted(analyze, clip, tmp_path):
    folder = tmp_path / "videos"
    (folder / "sub").mkdir(parents=True)
    shutil.copy(clip, folder / "sub" / "b.MP4")
    (folder / "a.mp4").symlink_to(folder / "sub" / "b.MP4")
    for name in ("._b.mp4", ".c.mp4", "notes.txt", "read.txt"):
        (folder / name).touch()
    status, out, err = analyze(folder, "--json")
    assert status == 0 and [json.loads(line)["video"] for line in out.splitlines()] == [str(folder / "a.mp4")]
    assert f"note: {folder}: 4 files left out: 2 .txt, 2 hidden" in err
    assert "note: 1 of the files are named or linked to more than once" in err
    (folder / "a.mp4").rename(folder / "video")
    found = inputs.find_videos([str(folder / "video"), str(folder / ".c.mp4")])
    assert found == ([str(folder / "video"), str(folder / ".c.mp4")], [], [])  # named themselves


def test_folders_that_cannot_be_read_are_errors(clip, tmp_path, monkeypatch):
    for name in ("locked", "open"):
        (tmp_path / name).mkdir()
        shutil.copy(clip, tmp_path / name)
    refuse(monkeypatch, tmp_path / "locked")
    videos, problems, _ = inputs.find_videos([str(tmp_path)])
    assert videos == [str(tmp_path / "open" / clip.name)]
    assert problems == [f"{tmp_path / 'locked'}: cannot be searched: Permission denied"]
    assert inputs.find_videos([str(tmp_path / "locked")])[1] == problems


def test_globs_and_order(clip, tmp_path):
    for name in ("b.mp4", "a.mp4", "note.txt", "odd[1].mp4"):
        shutil.copy(clip, tmp_path / name)
    names = ["a.mp4", "b.mp4", "odd[1].mp4"]
    assert inputs.find_videos([str(tmp_path / "*.mp4")]) == ([str(tmp_path / name) for name in names], [], [])
    assert inputs.find_videos([str(tmp_path)])[0] == [str(tmp_path / name) for name in names]
    assert inputs.find_videos([str(tmp_path / "odd[1].mp4")])[0] == [str(tmp_path / "odd[1].mp4")]


def test_resume_skips_what_is_done(analyze, clip, tmp_path):
    analyze(clip, "--output", tmp_path)
    report = tmp_path / "clip" / "report.html"
    before = report.stat().st_mtime_ns
    status, out, err = analyze(clip, "--output", tmp_path, "--resume")
    assert status == 0 and out == "" and report.stat().st_mtime_ns == before and f"done before: {clip}" in err


@pytest.mark.parametrize("resume", [[], ["--resume"]])
def test_another_question_or_span_is_kept_beside_the_first(analyze, clip, tmp_path, resume):
    analyze(clip, "--output", tmp_path)
    before = {path: path.read_bytes() for path in sorted((tmp_path / "clip").iterdir())}
    others = [["--prompt", "Why?"], ["--segment", "0", "1"]]
    for number, options in enumerate(others, start=2):
        _, out, _ = analyze(clip, "--output", tmp_path, *options, *resume)
        assert f"report   {tmp_path / f'clip-{number}' / 'report.html'}" in out
    assert {path: path.read_bytes() for path in sorted((tmp_path / "clip").iterdir())} == before
    _, out, err = analyze(clip, "--output", tmp_path, *others[0], *resume)  # the same again goes to its own place
    assert f"{tmp_path / 'clip-2' / 'report.html'}" in (err if resume else out)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "clip",
        "clip-2",
        "clip-3",
        "events.csv",
        "events.parquet",
        "index.html",
    ]


def test_videos_of_one_name_do_not_share_a_report(analyze, clip, tmp_path):
    (tmp_path / "other").mkdir()
    other = shutil.copy(clip, tmp_path / "other" / clip.name)
    analyze(clip, "--output", tmp_path / "out")
    _, out, _ = analyze(other, "--output", tmp_path / "out", "--resume")
    assert str(other) in out
    videos = [
        json.loads((tmp_path / "out" / name / "analysis.json").read_text())["video"] for name in ("clip", "clip-2")
    ]
    assert videos == [str(clip), str(other)]


def test_a_report_that_cannot_be_written_does_not_lose_the_analysis(analyze, clip, tmp_path):
    with no_file_above(5_000):
        status, out, err = analyze(clip, "--output", tmp_path)
    assert status == 1 and "answer" in out and "the report could not be written" in errors(err)[0]


@pytest.mark.parametrize("kind", ["without scorer", "cut", "no json", "device"])
def test_broken_checkpoints_are_one_line(clip, tmp_path, capsys, checkpoint56, kind):
    folder = Path(shutil.copytree(checkpoint56, tmp_path / "model"))
    weights, device = folder / "model.safetensors", "cpu"
    if kind == "without scorer":
        save_file({k: v for k, v in load_file(weights).items() if "scorer" not in k}, weights, {"format": "pt"})
    elif kind == "cut":
        weights.write_bytes(weights.read_bytes()[:5000])
    elif kind == "no json":
        (folder / "config.json").write_text('{"model_type": "holmes_vau",')
    else:
        device = "nonsense"
    assert cli.main(["analyze", str(clip), "--model", str(folder), "--device", device]) == 1
    (line,) = errors(capsys.readouterr().err)
    assert (str(folder) if kind != "device" else "--device nonsense") in line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--num-frames", "0"], "--num-frames must be at least 1, got 0"),
        (["--stride", "-1"], "--stride must be at least 1, got -1"),
        (["--resume"], "pass both"),
    ],
)
def test_bad_options_are_one_line(analyze, clip, arguments, said):
    status, _, err = analyze(clip, *arguments)
    assert status == 1 and len(errors(err)) == 1 and said in err


@pytest.mark.parametrize("kind", ["missing", "empty", "other"])
def test_bad_models_are_one_line(clip, tmp_path, capsys, kind):
    folder = tmp_path / kind
    if kind != "missing":
        folder.mkdir()
    if kind == "other":
        (folder / "config.json").write_text('{"model_type": "bert"}')
    assert cli.main(["analyze", str(clip), "--model", str(folder)]) == 1
    (line,) = errors(capsys.readouterr().err)
    assert str(folder) in line


def test_without_model_the_one_in_the_box_is_used(clip, tmp_path, capsys):
    assert cli.main(["analyze", str(clip), "--output", str(tmp_path), "--device", "cpu"]) == 0
    out, err = capsys.readouterr()
    assert err.splitlines()[0] == f"warning: {SYNTHETIC_WARNING}" and "for real video pass --model" in err
    assert f"  warning  {SYNTHETIC_WARNING}\n" in out and out.startswith(f"{clip}\n")
    analysis = json.loads((tmp_path / "clip" / "analysis.json").read_text(encoding="utf-8"))
    assert analysis["model"] == MINI and analysis["answer"]
    assert analysis["warning"].startswith(SYNTHETIC_WARNING) and "UNLIKE ANYTHING" in analysis["warning"]
    assert SYNTHETIC_WARNING in (tmp_path / "clip" / "report.html").read_text(encoding="utf-8")


def test_the_one_in_the_box_is_found_where_it_was_installed(tmp_path, monkeypatch):
    config = PackagePath("share/holmes-vau/holmes-vau-mini/config.json")
    config.dist = SimpleNamespace(locate_file=lambda path: tmp_path / path)
    (tmp_path / config).parent.mkdir(parents=True)
    (tmp_path / config).write_text("{}")
    monkeypatch.setattr(importlib.metadata, "files", lambda name: [PackagePath("setup.py"), config])
    assert default_checkpoint(root=tmp_path / "site-packages") == (tmp_path / config).parent


def test_without_the_one_in_the_box_one_line_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.metadata, "files", lambda name: None)
    with pytest.raises(CheckpointError) as error:
        default_checkpoint(root=tmp_path)
    (line,) = str(error.value).splitlines()
    assert "--model" in line and "make mini" in line


def test_module_runs_as_a_program(clip):
    done = subprocess.run(
        [sys.executable, "-m", "modeling_holmes_vau", "analyze", "/nowhere.mp4", "--device", "cpu"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr and "/nowhere.mp4" in done.stderr


def test_a_span_may_be_written_as_it_is_printed(analyze, clip):
    analyses = [
        json.loads(analyze(clip, "--json", "--segment", *span)[1]) for span in (("2", "6.5"), ("0:02.0", "0:06.5"))
    ]
    assert analyses[0]["segment_s"] == analyses[1]["segment_s"] == pytest.approx([2.0, 6.5], abs=0.04)


def test_the_threshold_makes_the_events(analyze, clip, tmp_path):
    """The one that keeps an event going is scaled with it, and a report of another threshold is kept."""
    scores = json.loads(analyze(clip, "--json")[1])["scores"]
    low = round(0.9 * min(scores), 4)
    _, out, _ = analyze(clip, "--json", "--threshold", low, "--output", tmp_path)
    analysis = json.loads(out)
    rule = analysis["event_rule"]
    assert rule["threshold"] == low and rule["low_threshold"] == pytest.approx(0.6 * low)
    assert [[event["start_s"], event["end_s"]] for event in analysis["events"]] == [[0.0, 10.0]]
    _, out, _ = analyze(clip, "--json", "--threshold", "1", "--output", tmp_path)
    assert json.loads(out)["events"] == [] and (tmp_path / "clip-2" / "report.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--prompt", ""], "--prompt is empty"),
        (["--prompt", " \n"], "--prompt is empty"),
        (["--questions", "/nowhere.txt"], "--questions /nowhere.txt: "),
        (["--segment", "0", "1", "--segment", "2", "3"], "--segment is there 2 times"),
        (["--prompt", "What is in <video>?"], "a question holds <video>, which stands for pictures"),
        (["--threshold", "1.5"], "--threshold must be a score above 0 and at most 1, got 1.5"),
        (["--threshold", "nan"], "--threshold must be a score"),
        (["--segment", "6", "0:05"], "--segment 0:06.0 0:05.0: the end must lie behind the start"),
        (["--device", "cuda:7"], "--device cuda:7: "),
        (["--output", "{clip}"], "--output {clip}: is a file; pass a folder"),
        (["--output", "{clip}/below"], "--output {clip}/below: {clip} is a file; pass a folder"),
    ],
)
def test_what_an_option_cannot_be_is_one_line(clip, checkpoint56, capsys, arguments, said):
    given = ["analyze", str(clip), "--model", str(checkpoint56), *(word.format(clip=clip) for word in arguments)]
    assert cli.main(given) == 1
    (line,) = errors(capsys.readouterr().err)
    assert line.startswith(f"error: {said.format(clip=clip)}")


def test_addresses_are_told_from_files(analyze, clip):
    status, out, err = analyze("rtsp://camera/1", "https://host/a*.mp4", clip)
    assert status == 1 and str(clip) in out
    assert errors(err) == [
        "error: rtsp://camera/1: a live stream: record some of it to a file first and pass that",
        "error: https://host/a*.mp4: a URL: download it first and pass the path of the file",
    ]


@pytest.mark.parametrize("with_output", [True, False])
def test_many_failures_are_five_lines_and_a_file(analyze, clip, tmp_path, with_output):
    folder, output = tmp_path / "videos", tmp_path / "out"
    folder.mkdir()
    bad = [folder / f"{number}.mp4" for number in range(8)]
    for path in bad:
        path.touch()
    shutil.copy(clip, folder / "3b.mp4")
    status, out, err = analyze(folder, *(["--output", output] if with_output else []))
    assert status == 1 and "3b.mp4" in out and "4 of 9: " in err and "9 of 9: " in err
    lines = errors(err)
    told = bad[:5] if with_output else bad
    assert all(str(path) in line for path, line in zip(told, lines, strict=False))
    if with_output:
        assert lines[5:] == [f"error: 3 more: see {output / 'errors.txt'}"]
        listed = (output / "errors.txt").read_text(encoding="utf-8").splitlines()
        assert len(listed) == 8 and all(str(path) in line for path, line in zip(bad, listed, strict=True))
    else:
        assert len(lines) == 8


def test_it_runs_where_stdout_is_no_file(clip, monkeypatch):
    """As in a notebook."""
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert cli.main(["convert", "--checkpoint", "/nowhere", "--output", "/nowhere"]) == 1


def test_the_version(capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"holmes-vau {modeling_holmes_vau.__version__}\n"


def test_a_sampler_that_there_is_not_is_a_line_before_anything_is_read(capsys):
    assert cli.main(["analyze", "a.mp4", "--sampler", "unifrom"]) == 1
    (line,) = errors(capsys.readouterr().err)
    assert "must be one of ats, ats_norm, nearest, uniform, top_k, got 'unifrom'. Did you mean uniform?" in line
