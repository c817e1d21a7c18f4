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
    """A `tqdm` whose bar is drawn in a terminal alone; where stderr is a file, it is a line every `line_every_s`."""

    def __init__(self, *args, line_every_s: float = LINE_EVERY_S, **kwargs):
        if not sys.stderr.isatty():
            kwargs |= {"file": _Lines(sys.stderr), "mininterval": line_every_s, "maxinterval": line_every_s}
            kwargs |= {"delay": line_every_s, "leave": False, "position": 0}
            kwargs["bar_format"] = "{desc}: {n_fmt} of {total_fmt} {unit}s, {elapsed} gone, {remaining} to go"
        super().__init__(*args, **kwargs)
