"""`eval/qualitative.py compare`: answers of several models beside each other, on one page."""

import argparse
import sys
from pathlib import Path

from eval.answers.scores import read_instructions
from eval.paper.qualitative_rows import Answers, add_row_arguments, blind_answers, choose_rows, read_models
from hivau70k_dataset.reading import read_annotation_files
from hivau70k_dataset.schema import Instruction
from modeling_holmes_vau.base.commands import CommandError, first_line
from modeling_holmes_vau.base.files import write_whole


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `eval/qualitative.py compare`."""
    parser.add_argument(
        "--models",
        nargs="+",
        action="extend",
        required=True,
        metavar="NAME=FILE",
        help="predictions of `eval/reasoning.py predict`, each with the name that the page shows",
    )
    parser.add_argument("--annotations", required=True, metavar="DIR", help="folder of annotations and instructions")
    parser.add_argument("--videos", metavar="DIR", help="folder of the videos; without it the page has no frames")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="page.html to write")
    parser.add_argument("--blind", action="store_true", help="also show the most frequent answer, which sees no video")
    parser.add_argument("--title", default="Answers side by side", help="of the page (%(default)s)")
    parser.add_argument("--allow-missing", action="store_true", help='show "no answer" where predictions lack a row')
    parser.add_argument("--device", help="for the scorer that chooses frames: cpu, cuda, ...; default: the fastest")
    add_row_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Write the page."""
    output = check_arguments(args)
    instructions = read_instructions(args.annotations, args.split)
    rows = choose_rows(args, instructions)
    models = read_models(args.models, instructions, rows, args.annotations, args.allow_missing)
    page = make_page(args, instructions, rows, models)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_whole(output, page.encode("utf-8", "backslashreplace"))
    print(f"wrote {output}: {len(rows)} questions, {len(page) / 1e6:.1f} MB")
    return 0


def check_arguments(args: argparse.Namespace) -> Path:
    """The page to write; mistakes that show before anything is read."""
    output = Path(args.output)
    if output.is_dir() or output.suffix != ".html":
        raise CommandError(f"--output {output}: expected the name of a page, as figures/answers.html")
    if args.videos and not Path(args.videos).is_dir():
        raise CommandError(f"--videos {args.videos}: no such folder; pass the one that holds the videos")
    return output


def make_page(
    args: argparse.Namespace, instructions: list[Instruction], rows: list[int], models: list[Answers]
) -> str:
    """The page about these rows."""
    from eval.paper.qualitative_frames import sights_of
    from eval.paper.qualitative_page import build_page

    sights = sights_of(models, args.device) if args.videos else {}
    for name, sight in sights.items():
        if sight.look is None:
            print(f"warning: which frames {name} saw is not known: {sight.how}", file=sys.stderr)
    shown = show_segments(args, instructions, rows, sights)
    models = [*models, blind_answers(instructions)] if args.blind else models
    source = Path(args.annotations).resolve().name
    facts = [f"{source}, {args.split}", f"{len(rows)} questions about {len(shown)} segments"]
    if args.random is not None:
        facts.append(f"chosen at random, seed {args.seed}")
    return build_page(args.title, facts, shown, models, sights)


def show_segments(args: argparse.Namespace, instructions: list[Instruction], rows: list[int], sights: dict) -> list:
    """The segments of the rows, in order, each with what models saw of it."""
    from eval.paper.qualitative_frames import strips_of
    from eval.paper.qualitative_page import Shown
    from hivau70k_dataset.videos import VideoFolder
    from modeling_holmes_vau.base.progress import Progress

    annotations = {(entry.source, entry.video): entry for entry in read_annotation_files(args.annotations).annotations}
    videos = VideoFolder(args.videos) if args.videos else None
    of_segment: dict[str, list[int]] = {}
    for row in rows:
        of_segment.setdefault(instructions[row].video, []).append(row)
    shown = []
    for asked in Progress(list(of_segment.values()), "segments", unit="segment", disable=videos is None):
        entry = instructions[asked[0]]
        annotation = annotations.get((entry.source, entry.name))
        span_s = annotation and annotation.span_s(entry.level, entry.event, entry.clip)
        try:
            strips = strips_of(videos.find_segment(entry, span_s), sights) if videos else []
        except (ValueError, OSError) as error:
            raise CommandError(
                f"row {asked[0]}, {entry.video}: {first_line(error)}; choose other rows, or leave out --videos"
            ) from error
        shown.append(Shown([(row, instructions[row]) for row in asked], span_s, strips))
    return shown
