"""What a table is made on: the miniature, which anybody can render, or HIVAU-70k with its videos."""

import argparse
import hashlib
import json
from dataclasses import astuple, dataclass
from functools import cached_property
from pathlib import Path

from eval.answers.scores import read_instructions
from eval.paper.cells import ROOT, Cell
from hivau70k_dataset.reading import read_annotation_files
from hivau70k_dataset.schema import LEVELS, Instruction, VideoAnnotation
from modeling_holmes_vau.base.commands import CommandError
from modeling_holmes_vau.checkpoint.load import open_folder


SUITES = ("miniature", "hivau")
MINI = "checkpoints/holmes-vau-mini"
TEST_VIDEOS = 120
RENDER_S = 45.0  # of the test videos, on two CPU cores


@dataclass(frozen=True)
class Suite:
    """
    What a table is made on.

    Args:
        name (`str`): "miniature" or "hivau"; the figures of the paper stand beside those of the second.
        annotations (`str`), videos (`str`): Folders.
        limit (`int`, *optional*): Only so many rows a level, for a try.
        options (`tuple[str, ...]`): `--device` and `--dtype` for every program.
    """

    name: str
    annotations: str
    videos: str
    limit: int | None
    options: tuple[str, ...]

    @property
    def data(self) -> list[str]:
        """The options that name the data."""
        return ["--annotations", self.annotations, "--videos", self.videos]

    @property
    def settings(self) -> dict:
        """What of the suite decides figures: the rows, wherever they lie."""
        asked = json.dumps([astuple(row) for row in self.rows])
        digest = hashlib.sha256(asked.encode()).hexdigest()[:16]
        return {"suite": self.name, "rows": digest, "limit": self.limit, "options": self.options}

    @cached_property
    def rows(self) -> list[Instruction]:
        """The test rows."""
        return read_instructions(self.annotations, "test")

    def entries(self, split: str = "test") -> list[VideoAnnotation]:
        """The annotated videos of a split."""
        return [entry for entry in read_annotation_files(self.annotations).annotations if entry.split == split]


def add_suite_arguments(parser: argparse.ArgumentParser, limited: bool = True) -> None:
    """Arguments of every table."""
    parser.add_argument(
        "--suite",
        choices=SUITES,
        default="miniature",
        help="miniature: rendered here if need be (default); hivau: HIVAU-70k, with the paper's figures beside ours",
    )
    parser.add_argument("--annotations", metavar="DIR", help="folder of annotations (miniature: OUTPUT/data)")
    parser.add_argument("--videos", metavar="DIR", help="folder of the videos (miniature: that of the annotations)")
    parser.add_argument(
        "-o", "--output", required=True, metavar="DIR", help="folder of the table; a begun one goes on"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would run and how long, and stop")
    if limited:
        parser.add_argument("--limit", type=int, metavar="N", help="only the first N rows, for a try")
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps; default: the fastest there is")
    parser.add_argument(
        "--dtype", choices=("auto", "float32", "bfloat16", "float16"), help="default: the checkpoint's"
    )


def suite_of(args: argparse.Namespace) -> Suite:
    """The suite that the arguments name.

    Raises:
        `CommandError`: one line, where data is not named or not there.
    """
    annotations, videos = args.annotations, args.videos
    if args.suite == "hivau" and not (annotations and videos):
        raise CommandError("--suite hivau: pass --annotations and --videos, the folders of HIVAU-70k and its videos")
    own = str(Path(args.output, "data"))
    annotations = annotations or own
    videos = videos or str(Path(annotations, "videos"))
    for option, folder in (("--annotations", annotations), ("--videos", videos)):
        if annotations != own and not Path(folder).is_dir():
            raise CommandError(f"{option} {folder}: no such folder; pass the one that holds them")
    limit = vars(args).get("limit")
    if limit is not None and limit < 1:
        raise CommandError(f"--limit must be at least 1, got {limit}")
    named = (("--device", args.device), ("--dtype", args.dtype))
    options = tuple(part for option, value in named if value for part in (option, value))
    return Suite(args.suite, str(Path(annotations).resolve()), str(Path(videos).resolve()), limit, options)


def is_rendered(args: argparse.Namespace) -> bool:
    """Whether the suite has to be rendered."""
    return not args.annotations


def data_cells(args: argparse.Namespace, suite: Suite, train_videos: int = 0) -> list[Cell]:
    """The cell that renders the miniature, where no other data is named."""
    if not is_rendered(args):
        return []
    parts = {"test": TEST_VIDEOS} | ({"train": train_videos} if train_videos else {})
    command = ["-m", "hivau70k_dataset", "miniature", "--output", suite.annotations]
    commands = [[*command, "--split", split, "--videos", str(number)] for split, number in parts.items()]
    settings = {"videos": parts}
    work = RENDER_S * sum(parts.values()) / TEST_VIDEOS
    return [Cell("data", settings, lambda folder: commands, lambda folder: {"videos": parts}, work)]


def shorter_than(suite: Suite, frames: int) -> dict[str, dict[str, int]]:
    """How many test segments of each level have at most so many frames, of how many: there the sampler is not asked.

    Returns:
        `dict`: By level `short` and `all`.
    """
    counted = {level: {"short": 0, "all": 0} for level in LEVELS}
    for entry in suite.entries():
        spans = {"video": [(0.0, entry.n_frames / entry.fps)]}
        spans["event"] = [(event.start_s, event.end_s) for event in entry.events]
        spans["clip"] = [(clip.start_s, clip.end_s) for event in entry.events for clip in event.clips]
        for level, found in spans.items():
            lengths = [round((end_s - start_s) * entry.fps) for start_s, end_s in found]
            counted[level]["all"] += len(lengths)
            counted[level]["short"] += sum(length <= frames for length in lengths)
    return counted


def check_model(name: str, option: str = "--model") -> None:
    """Refuse what is no checkpoint before anything is rendered."""
    open_folder(resolved(name), option=option, weights=False)


def resolved(name: str) -> str:
    """A checkpoint as the commands take it: a folder by its full path, as they run elsewhere; else a Hub name."""
    for place in (Path(name), ROOT / name):
        if place.exists():
            return str(place.resolve())
    return name
