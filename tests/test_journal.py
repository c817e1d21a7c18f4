"""Journals: every whole entry is kept, pieces are not, and a file of somebody else's is left alone."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from modeling_holmes_vau.base.errors import RunError
from modeling_holmes_vau.base.journal import Journal, JournalDict, read_journals


ROOT = Path(__file__).resolve().parents[1]


def has_row(entry) -> bool:
    return isinstance(entry, dict) and "row" in entry


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b'{"row": 1}\n{"row": 2}\n', [1, 2]),
        (b'{"row": 1}\n{"row": 2}', [1]),  # whole, but its line break is missing: what is put behind would spoil it
        (b'{"row": 1}\n{"ro', [1]),
        (b'{"row": 1}\n\0\0\0', [1]),
        (b'{"row": 1}\n\0\0\0\nnull\n{"r": 3}\n\xff{"row"\n{"row": 2}\n{"ro', [1, 2]),
        (b'{"row": 1}\n\n\r\n{"row": 2}\r\n', [1, 2]),
        (b"", []),
        (b'{"ro', []),
        (b"\0\0\0", []),
        ('{"row": 1, "prediction": "a\u2028b"}\n'.encode(), [1]),
    ],
)
def test_whole_entries_are_kept_and_pieces_go_away(tmp_path, content, rows):
    journal = Journal(tmp_path / "part.jsonl", has_row)
    journal.path.write_bytes(content)
    assert [entry["row"] for entry in journal.read()] == rows and journal.path.read_bytes() == content
    journal.append({"row": 8})
    journal.append({"row": 9})
    lines = journal.path.read_bytes().split(b"\n")
    assert [json.loads(line)["row"] for line in lines[:-1]] == [*rows, 8, 9] and lines[-1] == b""
    kept = [line for line in content.split(b"\n")[:-1] if b'"row": ' in line]
    assert lines[: len(kept)] == kept  # byte by byte


@pytest.mark.parametrize("content", [b"my notes\n", b"[]\n", b'{"r": 1}\n{"row"'])
def test_a_file_of_somebody_else_is_refused_and_left_alone(tmp_path, content):
    journal = Journal(tmp_path / "part.jsonl", has_row)
    journal.path.write_bytes(content)
    for use in (journal.read, lambda: journal.append({"row": 1})):
        with pytest.raises(RunError, match="part.jsonl: none of its lines is one that this program writes; choose"):
            use()
    assert journal.path.read_bytes() == content


def test_no_file_is_an_empty_journal(tmp_path):
    journal = Journal(tmp_path / "new" / "log.jsonl")
    assert journal.read() == [] and not journal.path.parent.exists()
    journal.append({"text": "a\u2028b"}, {"text": "half a letter \ud83d"})
    assert Journal(journal.path).read() == [{"text": "a\u2028b"}, {"text": "half a letter ?"}]
    journal.rewrite([{"text": "other"}])
    journal.append({"text": "more"})
    assert journal.path.read_text() == '{"text": "other"}\n{"text": "more"}\n'


def test_what_a_full_disk_cut_off_is_no_beginning_of_the_next_line(tmp_path):
    """A limit on the size of files cuts a line off in the middle, as a full disk does."""
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from modeling_holmes_vau.base.journal import Journal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "journal = Journal(Path(sys.argv[1]))\n"
        "journal.append({'row': 1})\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20, resource.RLIM_INFINITY))\n"
        "try: journal.append({'row': 2, 'text': 'x' * 100})\n"
        "except OSError as error: print(error)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
        "print(journal.path.stat().st_size)\n"
        "journal.append({'row': 3})\n"
    )
    path = tmp_path / "log.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True, cwd=ROOT
    )
    said, size = done.stdout.splitlines()
    assert str(path) in said and "File too large" in said and int(size) == 20
    assert Journal(path).read() == [{"row": 1}, {"row": 3}]


def test_a_dictionary_that_several_fill(tmp_path):
    one, other = JournalDict(tmp_path / "kept"), JournalDict(tmp_path / "kept")
    assert not (tmp_path / "kept").exists()
    one.put("a", [1, 2])
    other.put("b", {"frames": []})
    one.put("a", [3])
    assert one.entries == {"a": [3]} and other.entries == {"b": {"frames": []}}
    one.load()
    assert one.entries == JournalDict(tmp_path / "kept").entries == {"a": [3], "b": {"frames": []}}
    with (tmp_path / "kept" / "0.jsonl").open("ab") as file:  # what a power cut left
        file.write(b'\0\0\0\nnull\n["b", [3\n["c", [4]]\n["d", [5')
    assert JournalDict(tmp_path / "kept").entries == {"a": [3], "b": {"frames": []}, "c": [4]}


def test_the_journals_of_a_folder(tmp_path):
    for process in range(2):
        Journal(tmp_path / f"{process}.jsonl").append({"process": process})
    (tmp_path / "notes.txt").write_text("mine\n")
    assert list(read_journals(tmp_path)) == [{"process": 0}, {"process": 1}]
