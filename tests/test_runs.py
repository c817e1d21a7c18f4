"""Whose folder it is: settings that tell one run from another, and a lock that keeps a folder to one of them."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from modeling_holmes_vau.base.errors import RunError
from modeling_holmes_vau.base.runs import check_settings, compare_settings, settings_digest, sole_run, write_settings


ROOT = Path(__file__).resolve().parents[1]
HOLDER = (
    "import sys, time; from pathlib import Path\n"
    "from modeling_holmes_vau.base.runs import sole_run\n"
    "with sole_run(Path(sys.argv[1])):\n"
    "    print('mine', flush=True); time.sleep(60)\n"
)


def test_a_folder_is_of_one_run_until_that_ends_however_it_does(tmp_path):
    folder = tmp_path / "new" / "out"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert holder.stdout.readline() == "mine\n"
    with pytest.raises(RunError, match="out: another run is writing it; wait for it, or stop it"), sole_run(folder):
        pass
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    with sole_run(folder), sole_run(tmp_path):  # another folder is another matter
        pass
    with pytest.raises(KeyError), sole_run(folder):
        raise KeyError
    with sole_run(folder):
        pass


def test_a_run_may_wait_for_its_turn(tmp_path, caplog):
    order = []

    def second() -> None:
        with sole_run(tmp_path, waits=True):
            order.append("second")

    with sole_run(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.3)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"] and "another run is writing it; waiting for it" in caplog.text


def check(file: Path, settings: dict, **options) -> None:
    check_settings(file, settings, "out: holds scores", "choose another folder", **options)


def test_the_same_settings_pass_and_others_are_named(tmp_path):
    file, settings = tmp_path / "settings.json", {"seed": 1, "levels": ("clip", "event"), "model": "a", "device": None}
    write_settings(file, settings)
    check(file, settings)
    check(file, {**settings, "rows": None})  # a field that is not there is none
    check(file, {**settings, "model": "b"}, free=("model",))
    with pytest.raises(RunError) as caught:
        check(file, {**settings, "seed": 2, "model": "b", "rows": 5})
    assert str(caught.value) == (
        "out: holds scores made with seed 1, model a, rows None, now asked for with seed 2, model b, rows 5; "
        "choose another folder"
    )
    del settings["seed"]
    with pytest.raises(RunError, match="made with seed 1, now asked for with seed None"):
        check(file, settings)


@pytest.mark.parametrize("content", [None, b"", b'{"seed', b"null", b"[1]", b"\0\0\0", b"\xff\xfe"])
def test_settings_that_are_gone_or_damaged(tmp_path, content, caplog):
    file, copy = tmp_path / "settings.json", tmp_path / "copy.json"
    if content is not None:
        file.write_bytes(content)
    problem = "there is no settings.json" if content is None else "its settings.json is damaged"
    with pytest.raises(RunError, match=f"scores, but {problem}: nothing tells how that was made; choose"):
        check(file, {"seed": 1}, copies=[copy])
    write_settings(copy, {"seed": 1})
    check(file, {"seed": 1}, copies=[copy])
    with pytest.raises(RunError, match="made with seed 1, now asked for with seed 2"):
        check(file, {"seed": 2}, copies=[copy])
    assert ("is cut off or damaged" in caplog.text) == (content is not None)


def test_what_json_has_no_form_for_is_text(tmp_path):
    write_settings(tmp_path / "settings.json", {"folder": tmp_path})
    assert json.loads((tmp_path / "settings.json").read_text()) == {"folder": str(tmp_path)}
    compare_settings({"folder": str(tmp_path)}, {"folder": tmp_path}, "out: a run", "choose another")


def test_a_digest_of_settings_does_not_depend_on_their_order():
    one = settings_digest({"seed": 1, "sampler": "ats"})
    assert one == settings_digest({"sampler": "ats", "seed": 1}) != settings_digest({"seed": 2, "sampler": "ats"})
