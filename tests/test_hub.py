"""Checkpoints and files that are fetched: from a stand-in for the Hub, and from a plain server."""

import errno
import shutil
import socket
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file

import train_sft
from modeling_holmes_vau import cli
from modeling_holmes_vau.checkpoint.hub import fetch_file
from modeling_holmes_vau.checkpoint.merge import write_adapter_notes
from tests.adapters import write_adapter
from tests.hub_server import make_handler, point_hub_at, serving
from tests.original import write_original_checkpoint
from tests.videos import write_video


RELEASE, PICKLED, GATED = "they/HolmesVAU-2B", "they/pickled", "they/gated"
CONVERTED, ADAPTER = "me/converted", "me/adapter"


@pytest.fixture(scope="module")
def repos(original56, checkpoint56, tmp_path_factory):
    """Folders by name of their repository: the release, with code, and with weights in both forms; one of ours."""
    folder = Path(shutil.copytree(original56, tmp_path_factory.mktemp("repo") / "release"))
    (folder / "modeling_internvl_chat.py").write_text("raise SystemExit('ran the code of a repository')")
    (folder / "pytorch_model.bin").write_bytes(b"no need for it")
    pickled = write_original_checkpoint(tmp_path_factory.mktemp("pickled"), weights="bin")
    return {RELEASE: folder, PICKLED: pickled, GATED: folder, CONVERTED: checkpoint56}


@pytest.fixture
def hub(repos, tmp_path, monkeypatch):
    """Address of a Hub with these repositories, and the paths it is asked for."""
    asked = []
    with serving(make_handler(repos, {GATED}, asked)) as address:
        point_hub_at(address, tmp_path / "home", monkeypatch)
        yield address, asked


def one_line(capsys, *argv) -> str:
    """The one line with which a command fails."""
    assert cli.main([str(word) for word in argv]) == 1
    lines = capsys.readouterr().err.replace("\r", "\n").splitlines()
    (line,) = [line for line in lines if line.strip() and "it/s]" not in line and "B/s" not in line]
    assert line.startswith("error: ")
    return line


def test_the_release_is_downloaded_and_converted(hub, checkpoint56, tmp_path):
    address, asked = hub
    words = ["convert", "--checkpoint", RELEASE, "--output", str(tmp_path / "out")]
    assert cli.main([*words, "--scorer", f"{address}/{RELEASE}/blob/main/anomaly_scorer.pth"]) == 0
    got, expected = (load_file(folder / "model.safetensors") for folder in (tmp_path / "out", checkpoint56))
    assert got.keys() == expected.keys() and all(torch.equal(got[name], expected[name]) for name in expected)
    files = {path.rpartition("/")[2] for path in asked if "/resolve/" in path}
    assert {"config.json", "tokenizer.model", "model.safetensors", "anomaly_scorer.pth"} <= files
    assert not [file for file in files if file.endswith((".py", ".bin"))]
    assert f"`{RELEASE}`" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


def test_what_was_downloaded_needs_no_network(hub, tmp_path, monkeypatch, capsys):
    assert cli.main(["init", "--base", PICKLED, "--output", str(tmp_path / "one")]) == 0
    assert "No files matched" not in capsys.readouterr().err
    hub[1].clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert cli.main(["init", "--base", PICKLED, "--output", str(tmp_path / "two")]) == 0
    assert not hub[1]
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    assert all(torch.equal(one[name], two[name]) for name in one)
    line = one_line(capsys, "init", "--base", "they/other", "--output", tmp_path / "three")
    assert "--base they/other: no such folder" in line and "HF_HUB_OFFLINE=1" in line


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("they/nothing", "the Hub has no repository they/nothing"),
        ("nothing", "the Hub has no repository nothing"),
        (GATED, f"gated on the Hub: ask for access at {{address}}/{GATED}"),
        ("a name/with--blanks", "can be no repository of the Hub"),
        ("one/too/many", "expected a checkpoint folder or a Hub name"),
    ],
)
def test_what_the_hub_refuses_is_one_line(hub, tmp_path, capsys, name, said):
    video = write_video(tmp_path / "clip.mp4", num_frames=4)
    for words in (["convert", "--checkpoint"], ["init", "--base"], ["analyze", video, "--model"]):
        output = [] if words[0] == "analyze" else ["--output", tmp_path / "out"]
        line = one_line(capsys, *words, name, *output)
        assert f"{words[-1]} {name}: no such folder" in line and said.format(address=hub[0]) in line
    assert not (tmp_path / "out").exists()


def test_a_hub_that_cannot_be_reached_is_one_line(tmp_path, monkeypatch, capsys):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    point_hub_at(address, tmp_path, monkeypatch)
    line = one_line(capsys, "convert", "--checkpoint", RELEASE, "--output", tmp_path / "out")
    assert f"--checkpoint {RELEASE}: no such folder" in line and f"{address} cannot be asked" in line
    line = one_line(capsys, "merge", "--adapter", ADAPTER, "--output", tmp_path / "out")
    assert f"--adapter {ADAPTER}: no such folder" in line and f"{address} cannot be asked" in line


def test_a_full_disk_is_no_fault_of_the_hub(tmp_path, monkeypatch, capsys):
    def snapshot_download(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path))

    monkeypatch.setattr("modeling_holmes_vau.checkpoint.hub.snapshot_download", snapshot_download)
    line = one_line(capsys, "analyze", write_video(tmp_path / "clip.mp4", num_frames=4), "--model", CONVERTED)
    assert "No space left on device. Free some space" in line and "cannot be asked" not in line


def test_a_repository_of_the_original_layout_is_offered_the_conversion(hub, tmp_path, capsys):
    video = write_video(tmp_path / "clip.mp4", num_frames=4)
    line = one_line(capsys, "analyze", video, "--model", RELEASE)
    assert f"holmes-vau convert --checkpoint {RELEASE} --output HolmesVAU-2B-converted" in line
    assert not [path for path in hub[1] if "safetensors" in path]  # the format is told without the weights


def test_a_converted_repository_is_analysed_and_trained(hub, tmp_path, capsys):
    video = write_video(tmp_path / "clip.mp4", num_frames=40)
    assert cli.main(["analyze", str(video), "--model", CONVERTED, "--json", "--max-new-tokens", "2"]) == 0
    assert f'"model": "{CONVERTED}"' in capsys.readouterr().out
    assert not [path for path in hub[1] if path.endswith(".py")]
    train_sft.main(["--dry-run=true", f"--model={CONVERTED}", "--num-rows=9", "--use-cpu=true"])
    assert "adapted modules: 21" in capsys.readouterr().out


def test_adapter_and_base_are_fetched(repos, model56, processor56, tmp_path, monkeypatch):
    adapter = write_adapter(model56.__class__.from_pretrained(repos[CONVERTED]), CONVERTED, tmp_path / "adapter")
    processor56.save_pretrained(adapter)
    write_adapter_notes(adapter, CONVERTED, {"sampler": "ats", "num_frames": 5})
    with serving(make_handler({**repos, ADAPTER: adapter}, set(), [])) as address:
        point_hub_at(address, tmp_path / "home", monkeypatch)
        assert cli.main(["merge", "--adapter", ADAPTER, "--output", str(tmp_path / "merged")]) == 0
    words = ["merge", "--adapter", adapter, "--base", repos[CONVERTED], "--output", tmp_path / "here"]
    assert cli.main([str(word) for word in words]) == 0
    fetched, here = (load_file(tmp_path / name / "model.safetensors") for name in ("merged", "here"))
    assert all(torch.equal(fetched[name], here[name]) for name in here)


# ---- files of other servers -----------------------------------------------------------------------------------------


CONTENT = bytes(range(256)) * 4096


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A server of files: `whole`; `cut`, which ends early the first time; `page`; `gone`. Yields address and paths."""
    asked = []

    class Files(BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def do_GET(self):
            asked.append(self.path)
            if self.path == "/gone.pth":
                self.send_error(404, "Not Found")
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8" if self.path == "/page.pth" else "x/y")
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            is_cut = self.path == "/cut.pth" and asked.count("/cut.pth") == 1
            self.wfile.write(CONTENT[:1000] if is_cut else CONTENT)

    with serving(Files) as address:
        point_hub_at("http://127.0.0.1:9", tmp_path / "home", monkeypatch)
        yield address, asked


def test_a_file_is_downloaded_once(files, monkeypatch):
    address, asked = files
    for _ in range(2):
        path = fetch_file(f"{address}/whole.pth?raw=true", "--scorer")
        assert path.name == "whole.pth" and path.read_bytes() == CONTENT
    assert len(asked) == 1
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert fetch_file(f"{address}/whole.pth?raw=true", "--scorer") == path
    with pytest.raises(ValueError, match="--scorer: not downloaded before; HF_HUB_OFFLINE=1"):
        fetch_file(f"{address}/other.pth", "--scorer")


def test_an_interrupted_download_does_not_count(files, tmp_path):
    address, asked = files
    with pytest.raises(ValueError, match=f"broke off after 1000 of {len(CONTENT)} bytes: try again"):
        fetch_file(f"{address}/cut.pth", "--scorer")
    assert not [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert fetch_file(f"{address}/cut.pth", "--scorer").read_bytes() == CONTENT and len(asked) == 2


@pytest.mark.parametrize(
    ("name", "said"), [("page", "a web page, not a file"), ("gone", "the server answers 404 Not Found")]
)
def test_what_is_no_file_is_one_line(files, original56, tmp_path, capsys, name, said):
    url = f"{files[0]}/{name}.pth"
    words = ["convert", "--checkpoint", original56, "--scorer", url, "--output", tmp_path / "out"]
    line = one_line(capsys, *words)
    assert f"--scorer {url}: {said}" in line and not (tmp_path / "out").exists()
