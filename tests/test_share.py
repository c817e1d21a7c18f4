"""The loop over many items: shares of processes, problems by name, and what ends it."""

import errno
import io
import sys

import pytest

from modeling_holmes_vau.base.errors import RunError
from modeling_holmes_vau.base.share import do_all, share_of


def letter(item: str) -> str:
    return item[0]


@pytest.mark.parametrize("num_processes", [1, 2, 3, 7])
def test_processes_share_whole_groups_and_nothing_is_lost(num_processes):
    items = ["a1", "b1", "c1", "a2", "d1", "c2"]
    shares = [share_of(items, process, num_processes, letter) for process in range(num_processes)]
    assert sorted(item for share in shares for item in share) == sorted(items)
    for share in shares:
        assert [letter(item) for item in share] == sorted(letter(item) for item in share)  # one after another
    for one, other in zip(shares, shares[1:]):
        assert not {letter(item) for item in one} & {letter(item) for item in other}


def run(items, do, **options) -> dict[str, str]:
    return do_all(items, do, lambda item: f"video {item}", "scoring", "video", **options)


def test_problems_are_lines_by_name_and_the_others_are_done():
    done = []

    def do(item: int) -> None:
        if item == 1:
            raise ValueError("cut off\nin the middle")
        if item == 3:
            raise FileNotFoundError(errno.ENOENT, "No such file", "3.mp4")
        done.append(item)

    assert run(range(5), do) == {"video 1": "cut off", "video 3": "[Errno 2] No such file: '3.mp4'"}
    assert done == [0, 2, 4]
    done.clear()
    assert run(range(5), do, process=1, num_processes=2) == {
        "video 1": "cut off",
        "video 3": "[Errno 2] No such file: '3.mp4'",
    }
    assert done == []


@pytest.mark.parametrize(
    "error",
    [RunError("made with another model"), OSError(errno.ENOSPC, "No space left on device"), KeyError("a mistake")],
)
def test_what_is_no_fault_of_an_item_ends_the_loop(error):
    done = []

    def do(item: int) -> None:
        done.append(item)
        raise error

    with pytest.raises(type(error)):
        run(range(3), do)
    assert done == [0]


def test_which_errors_are_of_an_item_can_be_told():
    def do(item: int) -> None:
        raise (MemoryError, ValueError)[item]("too long")

    assert run([0], do, own_errors=(MemoryError,)) == {"video 0": "too long"}
    with pytest.raises(ValueError):
        run([1], do, own_errors=(MemoryError,))


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_first_process_shows_progress(monkeypatch):
    for process, shown in ((0, True), (1, False)):
        monkeypatch.setattr(sys, "stderr", terminal := Terminal())
        run(range(4), lambda item: None, process=process, num_processes=2)
        assert ("scoring" in terminal.getvalue() and "2/2" in terminal.getvalue()) == shown
