"""The page as a Hugging Face Space: the model in the box, and two videos of the miniature to choose from."""

import os
import tempfile
from pathlib import Path

from hivau70k_dataset import render_miniature
from modeling_holmes_vau.apps.limits import Limits, Shelf
from modeling_holmes_vau.apps.web import Page, build_app, launch
from modeling_holmes_vau.checkpoint.known import MINI
from modeling_holmes_vau.checkpoint.load import load_on_device


LIMITS = Limits(max_mb=100, max_minutes=10)


def build_page() -> Page:
    """The page of this Space; the videos to choose from are rendered where they are not there yet."""
    folder = Path(tempfile.gettempdir()) / "holmes-vau-demo"
    render_miniature(folder, "test", videos=2, seed=231, size=336)
    name = os.environ.get("HOLMES_VAU_MODEL")
    model, processor = load_on_device(name, None, "auto")
    return Page(model, processor, name or MINI, Shelf.of(folder / "videos"), LIMITS)


if __name__ == "__main__":
    page = build_page()
    launch(build_app(page), page, host="0.0.0.0", port=7860)
