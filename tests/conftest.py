"""Shared fixtures: tiny checkpoints, small videos, the reference outputs; no network."""

import os
import socket
from pathlib import Path

import pytest


os.environ["HF_HUB_OFFLINE"] = "1"

from tests.original import write_original_checkpoint  # noqa: E402


REFERENCE = Path(__file__).parent / "fixtures" / "reference"
# What others released is no part of the repository: the example videos of the original, its annotations, ground truth.
# It is looked for in $HOLMES_VAU_DATA, else where the project is developed.
DATA = Path(os.environ.get("HOLMES_VAU_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


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
    if not (DATA / name).is_dir():
        pytest.skip(f"no {name}/ at {DATA}: set HOLMES_VAU_DATA to the folder that holds it")
    return DATA / name


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
