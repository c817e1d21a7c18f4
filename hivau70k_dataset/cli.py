"""The commands of `python -m hivau70k_dataset`: parsing and printing."""

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from modeling_holmes_vau.base.commands import CommandError, check_output_folder, output_folder, run_command
from modeling_holmes_vau.base.files import check_new_folder, few_of, whole_folder, write_whole
from modeling_holmes_vau.base.parser import Parser

from .engine.options import add_arguments as add_annotate_arguments
from .miniature.render import add_arguments as add_miniature_arguments
from .miniature.render import run as render
from .reading import read_annotation_files
from .schema import SPLITS


def build_parser() -> Parser:
    """The parser of `python -m hivau70k_dataset`."""
    parser = Parser(
        "python -m hivau70k_dataset",
        description="HIVAU-70k: check, count, export and cut it, and render a miniature of it.",
    )
    commands = parser.add_subparsers(dest="command", required=True)

    export = _add_command(commands, "export", "write a folder for load_dataset and the Hub")
    export.add_argument("-o", "--output", required=True, metavar="DIR", help="folder to write; new or empty")
    export.add_argument("--videos", metavar="DIR", help="folder of the videos; adds a Video column")
    export.add_argument("--embed-videos", action="store_true", help="put the videos themselves into Parquet files")

    _add_command(commands, "card", "let load_dataset read the instruction rows of a folder as they are: a README.md")

    validate = _add_command(commands, "validate", "report everything wrong with annotations and videos")
    validate.add_argument("--videos", metavar="DIR", help="folder of the videos; every file is opened")
    validate.add_argument(
        "--ground-truth", metavar="FILE", help="UCF-Crime test annotation to compare the events with"
    )
    validate.add_argument("-o", "--output", metavar="DIR", help="write report.txt and report.json there")
    validate.add_argument("--fix", metavar="DIR", help="write a cleaned copy and changes.json there; new or empty")

    stats = _add_command(commands, "stats", "count segments, rows, durations and words (the paper's Figure 3)")
    stats.add_argument("-o", "--output", metavar="DIR", help="write stats.md, stats.json and stats.png there")
    stats.add_argument("--sample", metavar="VIDEO", help="whose annotations are shown (the first abnormal video)")

    cut = _add_command(commands, "cut", "write events and clips as files of their own, in the layout of the release")
    cut.add_argument("--videos", required=True, metavar="DIR", help="folder of the whole videos")
    cut.add_argument("-o", "--output", required=True, metavar="DIR", help="folder to write; files there are kept")
    cut.add_argument("--levels", nargs="+", choices=("clip", "event"), default=["event", "clip"], help="(both)")
    cut.add_argument(
        "--mode",
        choices=("auto", "copy", "encode"),
        default="auto",
        help="auto: copy where that gives exactly the wanted frames, else encode; copy: start at the keyframe before",
    )
    cut.add_argument(
        "--rule",
        choices=("time", "release"),
        default="time",
        help="time: the frames that everything here uses; release: those of the released files, int(seconds x fps)",
    )
    cut.add_argument("--workers", type=int, metavar="N", help="processes (one a core)")

    build = _add_command(commands, "instructions", "build instruction rows from annotations (paper, appendix A.3)")
    build.add_argument("-o", "--output", required=True, metavar="FILE", help="the .jsonl file to write")
    build.add_argument("--seed", type=int, default=0, help="chooses the prompts (0)")
    table = commands.add_parser(
        "from-csv",
        help="turn a table of abnormal spans of your own videos into annotations",
        description="Turn a table video,start_s,end_s,label into annotations; a normal video has a row with just its "
        "name. Separated by commas, semicolons or tabs; times in seconds or h:mm:ss.",
    )
    table.add_argument("--csv", required=True, metavar="FILE", help="columns video,start_s,end_s,label")
    table.add_argument("--videos", required=True, metavar="DIR", help="folder of the videos")
    table.add_argument("-o", "--output", required=True, metavar="DIR", help="folder to write; new or empty")
    table.add_argument("--source", default="mine", metavar="NAME", help="what to call the collection (mine)")
    table.add_argument("--split", choices=SPLITS, default="train", help="which split it is (train)")

    add_miniature_arguments(
        commands.add_parser(
            "miniature",
            help="render a synthetic three-level benchmark that needs no download",
            description="Render a synthetic three-level benchmark: videos, annotations and instruction rows.",
        )
    )
    add_annotate_arguments(
        commands.add_parser(
            "annotate",
            help="make such annotations of your own videos, step by step, with people in the loop",
            description="The annotation engine (paper, section 3.2): events and clips, captions, summaries, a review "
            "by people, instruction rows.",
        )
    )
    return parser


def _add_command(commands, name: str, text: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    parser.add_argument("--annotations", required=True, metavar="DIR", help="folder of annotation files, or one file")
    return parser


def run_export(args: argparse.Namespace) -> int:
    """Write the Hub-ready folder."""
    from .export import export

    output, missing = export(args.annotations, args.output, args.videos, args.embed_videos, progress=True)
    if missing:
        print(f"{len(missing)} videos are missing under {args.videos}; they are listed in {output / 'README.md'}")
    if args.videos and not args.embed_videos:
        print("video_file holds paths of this machine: to publish the folder, export with --embed-videos")
    print(f"wrote {output}")
    return 0


def run_card(args: argparse.Namespace) -> int:
    """Write README.md into the folder of the annotations."""
    from .card import write_card

    path, rows = write_card(args.annotations)
    counts = ", ".join(f"{count} {split}" for split, count in rows.items())
    print(f"wrote {path}: load_dataset({str(path.parent)!r}) gives {counts} rows")
    return 0


def run_validate(args: argparse.Namespace) -> int:
    """Print the report; status 1 when there is any finding."""
    from .ground_truth import read_ucf_annotation
    from .validate import validate

    if args.fix:
        check_new_folder(Path(args.fix))
    if args.output:
        check_output_folder(args.output)
    truth = read_ucf_annotation(args.ground_truth) if args.ground_truth else None
    report = validate(args.annotations, args.videos, truth, progress=True)
    text = report.to_text()
    print(text)
    if args.output:
        folder = output_folder(args.output)
        write_whole(folder / "report.txt", text + "\n")
        print(f"wrote {write_whole(folder / 'report.json', _json(report.to_dict())).parent}")
    if args.fix:
        _write_cleaned(args.annotations, Path(args.fix))
    return 1 if report.findings else 0


def _write_cleaned(annotations: str, output: Path) -> None:
    from .clean import clean
    from .writing import write_annotation_files

    unreadable: list[str] = []
    files, changes = clean(read_annotation_files(annotations, lambda error: unreadable.append(str(error))))
    with whole_folder(output) as folder:
        write_annotation_files(folder, files)
        record = {"changes": [dataclasses.asdict(change) for change in changes], "left_out": unreadable}
        write_whole(folder / "changes.json", _json(record))
    print(f"wrote {output}: {len(changes)} changes, {len(unreadable)} unreadable entries left out")


def run_stats(args: argparse.Namespace) -> int:
    """Print the table; write it and the picture."""
    from .release import compare_with_release
    from .stats import compute_statistics, markdown_table, summarise

    if args.output:
        check_output_folder(args.output)
    files = read_annotation_files(args.annotations)
    try:
        statistics, release = compute_statistics(files, args.sample), compare_with_release(files)
    except ValueError as error:
        raise CommandError(f"--sample: {error}") from error
    table = markdown_table(statistics)
    if release:
        table += f"\n\n```\n{release.to_text()}\n```"
    print(table)
    if args.output:
        from .stats_picture import draw_statistics

        contents = {"md": table + "\n", "json": _json(summarise(statistics)), "png": draw_statistics(statistics)}
        folder = output_folder(args.output)
        for suffix, content in contents.items():
            write_whole(folder / f"stats.{suffix}", content)
        print(f"\nwrote {folder}")
    return 0


def run_cut(args: argparse.Namespace) -> int:
    """Cut; status 1 when a video is missing or a cut failed."""
    from .segments import Cut, cut_segments
    from .videos import VideoFolder

    check_output_folder(args.output)
    files, folder, missing = read_annotation_files(args.annotations), VideoFolder(args.videos), []

    def cuts() -> Iterator[Cut]:
        for entry in files.annotations:
            found = folder.find(entry)
            if found is None:
                missing.append(entry.whole_path)
                continue
            for level, event, clip, span in entry.segments():
                if level in args.levels:
                    output = Path(args.output) / entry.path(level, event, clip)
                    yield Cut(Path(found.path), output, *span, rule=args.rule)

    if not files.annotations:
        raise ValueError(
            f"{args.annotations} holds no hierarchical annotations, only rows: nothing tells where to cut."
        )
    for note in folder.notes:
        print(f"note: {note}", file=sys.stderr)
    report = cut_segments(list(cuts()), workers=args.workers, mode=args.mode, progress=True)
    problems = [f"missing: {path}" for path in missing] + [f"failed: {reason}" for _, reason in report.failures]
    for line in few_of(problems, Path(args.output)):
        print(line, file=sys.stderr)
    print(f"{report}, {len(missing)} videos missing")
    return 1 if missing or report.failures else 0


def run_instructions(args: argparse.Namespace) -> int:
    """Write instruction rows."""
    from .instructions import build_instructions
    from .writing import write_instructions

    rows = build_instructions(read_annotation_files(args.annotations).annotations, args.seed)
    if not rows:
        raise ValueError(f"{args.annotations} holds no hierarchical annotations to build rows from.")
    output = Path(args.output)
    if output.suffix != ".jsonl" or output.exists():
        problem = "is there already" if output.exists() else "does not end in .jsonl"
        raise ValueError(f"--output {output} {problem}: name a new .jsonl file.")
    output.parent.mkdir(parents=True, exist_ok=True)
    write_instructions(output, rows)
    print(f"wrote {output}: {len(rows)} rows")
    return 0


def run_from_csv(args: argparse.Namespace) -> int:
    """Write the annotations of a table."""
    from .reading import AnnotationFiles
    from .spans import annotations_from_csv
    from .writing import write_annotation_files

    check_new_folder(Path(args.output))
    annotations = annotations_from_csv(args.csv, args.videos, args.source, args.split, progress=True)
    with whole_folder(Path(args.output)) as folder:
        write_annotation_files(folder, AnnotationFiles(tuple(annotations), ()))
    abnormal = sum(bool(entry.labels) for entry in annotations)
    print(f"wrote {args.output}: {len(annotations)} videos, {abnormal} of them abnormal")
    spans = ((event.end_s - event.start_s, entry.duration_s) for entry in annotations for event in entry.events)
    if whole := sum(length_s >= duration_s for length_s, duration_s in spans):
        print(f"{whole} spans are whole videos: where that is a label without times, train with --supervision video")
    return 0


def run_miniature(args: argparse.Namespace) -> int:
    """Render the miniature."""
    render(args)
    return 0


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def run_annotate(args: argparse.Namespace) -> int:
    """Run a step of the engine."""
    from .engine.commands import run_annotate as run

    return run(args)


COMMANDS = {
    "annotate": run_annotate,
    "export": run_export,
    "card": run_card,
    "validate": run_validate,
    "stats": run_stats,
    "cut": run_cut,
    "instructions": run_instructions,
    "from-csv": run_from_csv,
    "miniature": run_miniature,
}


def main(argv: list[str] | None = None) -> int:
    """Entry point of `python -m hivau70k_dataset`; returns the exit status."""
    args = build_parser().parse_args(argv)
    return run_command(COMMANDS[args.command], args)
