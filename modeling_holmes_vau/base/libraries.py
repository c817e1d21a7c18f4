"""Libraries, kept from saying on stderr what a user of our commands cannot act on."""

import logging
import os
import sys
import warnings


# Beginnings of what they say, and why each is no user's business.
WARNINGS = (
    r"`(is_)?gradient_checkpointing(_enable)?` is deprecated",  # the new name is unknown to older transformers
    r"'pin_memory' argument is set as true but no accelerator",  # of `Trainer` on a CPU: it is not needed there
)
LOGGED = {
    "transformers.trainer_utils": (
        "mtime may not be reliable",  # checkpoints that are written within a second are told apart by their numbers
        "The tokenizer has new PAD/BOS/EOS tokens",  # of training alone; what is saved has the checkpoint's own
    )
}
# Read by huggingface_hub, and through it by transformers, and by datasets, when they are imported.
NO_BARS = ("HF_HUB_DISABLE_PROGRESS_BARS", "HF_DATASETS_DISABLE_PROGRESS_BARS")


class _Unhelpful(logging.Filter):
    """Keeps back the messages that are listed here."""

    def filter(self, record: logging.LogRecord) -> bool:
        """As that of `logging.Filter`."""
        return not record.getMessage().startswith(LOGGED[record.name])


UNHELPFUL = _Unhelpful()  # one, that a logger takes once


def quiet_libraries() -> None:
    """Hide what is listed here of what libraries say, and where stderr is no terminal their progress bars.

    It imports nothing. Called before they are imported, for that is when libraries read what they may draw.
    """
    for message in WARNINGS:
        warnings.filterwarnings("ignore", message=message)
    for name in LOGGED:
        logging.getLogger(name).addFilter(UNHELPFUL)
    if not sys.stderr.isatty():
        for name in NO_BARS:
            os.environ.setdefault(name, "1")
