"""Libraries, kept from saying on stderr what a user of our commands cannot act on."""

import os
import sys
import warnings


# Beginnings of warnings, and why each is no user's business.
UNHELPFUL = (
    r"`(is_)?gradient_checkpointing(_enable)?` is deprecated",  # the new name is unknown to older transformers
    r"mtime may not be reliable",  # of tensorboard's writer, about file systems that it does not write to
)
# Read by huggingface_hub, and through it by transformers, and by datasets, when they are imported.
NO_BARS = ("HF_HUB_DISABLE_PROGRESS_BARS", "HF_DATASETS_DISABLE_PROGRESS_BARS")


def quiet_libraries() -> None:
    """Hide the warnings of libraries that are listed here, and where stderr is no terminal their progress bars.

    It imports nothing. Called before they are imported, for that is when libraries read what they may draw.
    """
    for message in UNHELPFUL:
        warnings.filterwarnings("ignore", message=message)
    if not sys.stderr.isatty():
        for name in NO_BARS:
            os.environ.setdefault(name, "1")
