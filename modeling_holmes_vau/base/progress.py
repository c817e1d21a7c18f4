"""How far long work has come: a bar in a terminal, a line now and then anywhere else."""

import re
import sys
from typing import TextIO

from tqdm import tqdm


LINE_EVERY_S = 30.0  # outside a terminal


class _Lines:
    """What a bar writes, as lines: what it writes over in place is no line."""

    def __init__(self, stream: TextIO):
        self.stream = stream

    def write(self, text: str) -> None:
        for line in re.split(r"[\r\n]", text):
            if line.strip():
                self.stream.write(f"{line.strip()}\n")

    def flush(self) -> None:
        self.stream.flush()


class Progress(tqdm):
    """A `tqdm` whose bar is drawn in a terminal alone. Where stderr goes to a file, it is a line every 30 s."""

    def __init__(self, *args, **kwargs):
        if not sys.stderr.isatty():
            kwargs |= {"file": _Lines(sys.stderr), "mininterval": LINE_EVERY_S, "maxinterval": LINE_EVERY_S}
            kwargs |= {"delay": LINE_EVERY_S, "leave": False, "position": 0}
            kwargs["bar_format"] = "{desc}: {n_fmt} of {total_fmt} {unit}s, {elapsed} gone, {remaining} to go"
        super().__init__(*args, **kwargs)
