"""Many videos on several machines: every share is fixed by names, the joined result is that of one run."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet
import pytest

from modeling_holmes_vau import cli
from modeling_holmes_vau.cli.shares import name_within, shard_of, videos_of_share, whole_share
from modeling_holmes_vau.report.table import COLUMNS
from tests.rivals import write_holmes_vau
from tests.videos import write_video


ROOT = Path(__file__).parents[1]
FINDS = ("--granularity", "video", "event", "--threshold", "0.01")  # a random scorer finds events by it
NAMES = ("a/one.mp4", "b/one.mp4", "b/two.mp4", "three.mp4", "four.mp4")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    return write_holmes_vau(tmp_path_factory.mktemp("tiny") / "tiny")


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    """Five small videos, two of them of one name."""
    folder = tmp_path_factory.mktemp("archive")
    for number, name in enumerate(NAMES):
        (folder / name).parent.mkdir(exist_ok=True)
        write_video(folder / name, num_frames=30 + 10 * number)
    return folder


def analyze(archive: Path, tiny: Path, output: Path, *more) -> int:
    options = ["--model", tiny, "--num-frames", 2, "--max-new-tokens", 4, *FINDS, "--device", "cpu"]
    return cli.main([str(word) for word in ["analyze", archive, *options, "--output", output, *more]])


def found(output: Path) -> dict[str, dict]:
    """What was found, by the folder of each report, without what differs between two runs: seconds."""
    analyses = {path.parent.name: json.loads(path.read_text()) for path in output.glob("*/analysis.json")}
    return {
        name: {key: value for key, value in analysis.items() if key != "seconds"}
        for name, analysis in analyses.items()
    }


@pytest.fixture(scope="module")
def whole(archive, tiny, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("whole")
    assert analyze(archive, tiny, output) == 0
    return output


@pytest.mark.parametrize("number", [1, 2, 3, 7])
def test_every_video_is_in_one_share_wherever_the_folder_lies(number):
    names = [f"camera {n % 5}/day {n}.mp4" for n in range(200)]
    shares = [videos_of_share(names, ["x"], (place, number)) for place in range(1, number + 1)]
    assert sorted(name for share in shares for name in share) == sorted(names)
    assert max(map(len, shares)) < 2.2 * 200 / number
    more = sorted([*names, "camera 0/late.mp4"])  # a video that comes later moves no other
    for place, share in enumerate(shares, 1):
        assert set(share) <= set(videos_of_share(more, ["x"], (place, number)))


def test_a_name_does_not_depend_on_the_place(archive):
    assert name_within(str(archive / "b" / "two.mp4"), [str(archive)]) == "b/two.mp4"
    assert name_within("elsewhere/two.mp4", [str(archive)]) == "two.mp4"
    moved = archive.parent / "moved"
    if not moved.exists():
        moved.symlink_to(archive)
    for place in (1, 2):
        shares = [
            videos_of_share([str(folder / name) for name in NAMES], [str(folder)], (place, 2))
            for folder in (archive, moved)
        ]
        assert [os.path.basename(path) for path in shares[0]] == [os.path.basename(path) for path in shares[1]]


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "1/0", "a/b", "-1/2", "1/2/3"])
def test_a_wrong_share_is_a_line(archive, text, capsys):
    with pytest.raises(SystemExit):
        cli.main(["analyze", str(archive), f"--shard={text}"])
    error = capsys.readouterr().err
    assert "expected I/N with I from 1 to N" in error and error.count("\n") == 1


def test_processes_part_the_share_of_their_machine():
    assert shard_of("2/8") == (2, 8) and whole_share(None, {"WORLD_SIZE": "1"}) is None
    shares = [
        whole_share((place, 3), {"RANK": str(rank), "WORLD_SIZE": "2"}) for place in (1, 2, 3) for rank in (0, 1)
    ]
    assert shares == [(place, 6) for place in range(1, 7)]


def test_shares_together_are_one_run(archive, tiny, whole, tmp_path, capsys):
    output = tmp_path / "shares"
    for place in (2, 3, 1):
        assert analyze(archive, tiny, output, "--shard", f"{place}/3") == 0
    assert found(output) == found(whole) and len(found(whole)) == 5
    assert (output / "events.csv").read_bytes() == (whole / "events.csv").read_bytes()
    said = capsys.readouterr().err
    counts = [int(line.split(": ")[1].split(" of ")[0]) for line in said.splitlines() if line.startswith("share ")]
    assert sum(counts) == 5
    assert analyze(archive, tiny, output, "--shard", "1/3", "--resume") == 0  # nothing is done twice
    assert capsys.readouterr().err.count("done before") == counts[2] > 0


def test_processes_that_accelerate_starts_part_the_videos(archive, tiny, whole, tmp_path):
    output = tmp_path / "two"
    env = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "--num_machines"]
    launch += ["1", "--mixed_precision", "no", "--dynamo_backend", "no", "-m", "modeling_holmes_vau"]
    options = ["--model", tiny, "--num-frames", 2, "--max-new-tokens", 4, *FINDS, "--device", "cpu"]
    command = [*launch, "analyze", archive, *options, "--output", output]
    subprocess.run([str(word) for word in command], env=env, check=True, capture_output=True)
    assert found(output) == found(whole)


def test_collect_joins_what_machines_wrote_and_says_what_is_missing(archive, tiny, whole, tmp_path, capsys):
    first, second, joined = (tmp_path / name for name in ("first", "second", "joined"))
    assert analyze(archive, tiny, first, "--shard", "1/2") == 0
    capsys.readouterr()
    assert cli.main(["collect", str(first), "--output", str(joined), "--videos", str(archive)]) == 1
    captured = capsys.readouterr()
    missing = [line for line in captured.err.splitlines() if line.endswith(": no report")]
    assert f"{5 - len(missing)} of 5 videos have a report" in captured.out and 0 < len(missing) < 5
    assert analyze(archive, tiny, second, "--shard", "2/2") == 0
    words = ["collect", str(first), str(second), str(first), "--output", str(joined), "--videos", str(archive)]
    assert cli.main(words) == 0
    said = capsys.readouterr().out
    assert "5 of 5 videos have a report" in said and "more than once; each counts once" in said
    rows, expected = (list(csv.DictReader((folder / "events.csv").open())) for folder in (joined, whole))
    assert tuple(rows[0]) == COLUMNS and len(rows) >= 5 == len({row["video"] for row in rows})
    assert [{**row, "report": ""} for row in rows] == [{**row, "report": ""} for row in expected]
    table = pyarrow.parquet.read_table(joined / "events.parquet")
    assert table.column_names == list(COLUMNS) and table.num_rows == len(rows)
    page = (joined / "index.html").read_text()
    for name in found(first):
        assert f'href="../first/{name}/report.html' in page


def test_collect_knows_videos_by_their_path_within_the_folder(archive, whole, tmp_path, capsys):
    elsewhere = tmp_path / "mounted"
    elsewhere.symlink_to(archive)  # another machine has the archive at another place
    output = tmp_path / "joined"
    assert cli.main(["collect", str(whole), "--output", str(output), "--videos", str(elsewhere)]) == 0
    write_video(archive / "a" / "late.mp4", num_frames=20)
    try:
        assert cli.main(["collect", str(whole), "--output", str(output), "--videos", str(elsewhere)]) == 1
    finally:
        (archive / "a" / "late.mp4").unlink()
    assert "a/late.mp4: no report" in capsys.readouterr().err


def test_collect_says_what_is_wrong(tmp_path, capsys):
    assert cli.main(["collect", str(tmp_path / "nowhere")]) == 1
    assert "no such folder; pass the output folders" in capsys.readouterr().err
    assert cli.main(["collect", str(tmp_path)]) == 1
    assert "no reports there" in capsys.readouterr().err


def test_the_table_of_events_is_sorted_and_anothers_is_left_alone(whole, tmp_path):
    from modeling_holmes_vau.report.table import event_rows, write_tables
    from tests.test_report import make_analysis

    calm = make_analysis(scores=[0.2] * 50, events=(), video="calm.mp4")
    weak = make_analysis(video="weak.mp4")
    strong = {**make_analysis(video="strong.mp4"), "scores": [1.0] * 50}
    rows = event_rows([("calm", calm), ("weak", weak), ("strong", strong)])
    assert [row["video"] for row in rows] == sorted(row["video"] for row in rows) and rows[0]["report"] == "strong"
    assert "calm.mp4" not in {row["video"] for row in rows} and rows[0]["strongest_score"] == 1.0
    (tmp_path / "events.csv").write_text("mine,own\n1,2\n")
    with pytest.raises(ValueError, match=r"events\.csv is not a table of events of reports and stays as it is"):
        write_tables(tmp_path, [("weak", weak)])
