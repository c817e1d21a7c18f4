"""Shared fixtures: tiny checkpoints, small videos, the reference outputs; no network."""

import os
import re
import socket
from pathlib import Path

import pytest


os.environ["HF_HUB_OFFLINE"] = "1"

from tests.original import write_original_checkpoint  # noqa: E402


ROOT = Path(__file__).parents[1]
REFERENCE = Path(__file__).parent / "fixtures" / "reference"


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Any connection out of this machine fails the test that makes it."""
    connect = socket.socket.connect

    def guarded(self, address):
        if self.family == socket.AF_UNIX or address[0] in ("127.0.0.1", "localhost", "::1"):
            return connect(self, address)
        raise AssertionError(f"a test tried to reach {address}")

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(scope="session")
def real_videos() -> Path:
    """The three example videos of the original release."""
    return _data("videos")


@pytest.fixture(scope="session")
def released() -> Path:
    """The released test annotations and instructions of HIVAU-70k."""
    return _data("hivau70k")


@pytest.fixture(scope="session")
def ground_truth() -> Path:
    """The frame-level test annotations of UCF-Crime and XD-Violence."""
    return _data("ground_truth")


def _data(name: str) -> Path:
    """What others released is no part of the repository."""
    data = os.environ.get("HOLMES_VAU_DATA")
    if not data:
        pytest.skip(f"HOLMES_VAU_DATA is not set: it names the folder that holds {name}/")
    if not Path(data, name).is_dir():
        pytest.skip(f"HOLMES_VAU_DATA is {data}, which holds no {name}/")
    return Path(data, name)


@pytest.fixture(scope="session")
def demo_folder(tmp_path_factory) -> Path:
    """The folder `demo` that `make demo` renders: a video with an anomaly and one without, with their annotations."""
    from hivau70k_dataset import render_miniature

    options = re.search(r"miniature (--split .*) --output demo$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    words = options.split()
    given = {name.removeprefix("--"): value for name, value in zip(words[::2], words[1::2])}
    folder, split = tmp_path_factory.mktemp("demo"), given.pop("split")
    render_miniature(folder, split, workers=1, progress=False, **{name: int(value) for name, value in given.items()})
    return folder


@pytest.fixture(scope="session")
def original56(tmp_path_factory) -> Path:
    """InternVL2-format folder and scorer with the reference weights, 56 px."""
    return write_original_checkpoint(tmp_path_factory.mktemp("original56"), image_size=56)


@pytest.fixture(scope="session")
def checkpoint56(original56) -> Path:
    """The converted 56 px checkpoint."""
    from modeling_holmes_vau.checkpoint.convert import convert

    return convert(original56, original56 / "anomaly_scorer.pth", original56.parent / "converted56")


@pytest.fixture(scope="session")
def model56(checkpoint56):
    from modeling_holmes_vau import HolmesVAUForConditionalGeneration

    return HolmesVAUForConditionalGeneration.from_pretrained(checkpoint56).eval()


@pytest.fixture(scope="session")
def processor56(checkpoint56):
    from modeling_holmes_vau import HolmesVAUProcessor

    return HolmesVAUProcessor.from_pretrained(checkpoint56)
