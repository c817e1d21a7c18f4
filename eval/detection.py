"""Frame-level anomaly detection as the field measures it, beside the baselines that never look at a frame.

    python eval/detection.py --model DIR --annotations DIR --videos DIR --output DIR
    python eval/detection.py --scores DIR --protocol ucf-crime --annotations FILE --output DIR

The first scores every test video into `OUTPUT/scores/<video>.npz`; a run that was stopped goes on where it was. The
second evaluates scores made elsewhere. Both write `report.json`, `report.md`, `roc.png`, `pr.png` and `classes.png`.

The defaults are VadCLIP's convention: a score stands for its 16 frames, a video is cut to whole snippets of 16, and
the last frame of an annotated span is normal (`labels[start:end] = 1`).
"""

import argparse
import os
import sys
from importlib.util import find_spec
from pathlib import Path


sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for `eval` itself, and packages not installed

from eval.frames.count import read_videos, warn_of_lengths
from eval.frames.scores import DIGESTED, score_missing
from eval.frames.truth import PROTOCOLS, AnnotatedVideo, read_tests
from hivau70k_dataset.schema import SPLITS
from modeling_holmes_vau.base.commands import CommandError, output_folder, run_command
from modeling_holmes_vau.base.files import few_of
from modeling_holmes_vau.base.parser import Parser
from modeling_holmes_vau.base.runs import WHERE, check_settings, sole_run, write_settings
from modeling_holmes_vau.checkpoint.folder import OURS


SETTINGS = "settings.json"


def build_parser() -> Parser:
    """The parser of `eval/detection.py`."""
    parser = Parser(
        "detection.py",
        description="Frame-level AUC and AP, event F1 and mAP, and the baselines that never look at a frame.",
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--model", metavar="DIR", help="checkpoint folder or Hub name; scores the videos")
    source.add_argument(
        "--scores",
        metavar="DIR",
        help="scores made elsewhere instead: NAME.npz with an array `scores`, one a frame or one a snippet, and if "
        "known `n_frames`, `fps`, `frame_stride` (16), `times_s`, one a frame, where the rate does not tell them, and "
        "`events`, rows of start_s, end_s, score, and `event_classes`, the name of a class for each",
    )
    parser.add_argument("--annotations", required=True, metavar="PATH", help="the ground truth, see --protocol")
    parser.add_argument("--videos", metavar="DIR", help="folder of the videos, searched through; needed with --model")
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="folder to write; its scores are kept")
    parser.add_argument(
        "--protocol",
        choices=PROTOCOLS,
        default="hivau",
        help="hivau: events of hierarchical annotations, a folder or a file (default); ucf-crime: the test annotation "
        "file, in either form; xd-violence: annotations.txt, and the videos whose names end in label_A as normal",
    )
    add_conventions(parser)
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps; default: the fastest there is")
    parser.add_argument(
        "--dtype", default="auto", choices=("auto", "float32", "bfloat16", "float16"), help="default: the checkpoint's"
    )
    return parser


def add_conventions(parser: Parser) -> None:
    """Options of what is counted, and how."""
    parser.add_argument("--split", choices=SPLITS, default="test", help="of the hivau annotations (test)")
    parser.add_argument(
        "--interval-end",
        choices=("exclusive", "inclusive"),
        default="exclusive",
        help="whether the last frame of an annotated span is normal (exclusive, the default) or abnormal",
    )
    parser.add_argument(
        "--length",
        choices=("snippets", "frames"),
        default="snippets",
        help="snippets: leave out the frames after the last whole snippet (default); frames: count all of them",
    )


def settings_of(args: argparse.Namespace) -> dict[str, str]:
    """What decides the scores of an output folder."""
    if args.scores:
        return {"scores": os.path.abspath(args.scores)}
    from modeling_holmes_vau.checkpoint.load import checkpoint_digest, open_folder

    open_folder(args.model, OURS, weights=False)
    return {"model": args.model.rstrip("/"), "digest": checkpoint_digest(args.model, DIGESTED), "dtype": args.dtype}


def claim_output(output: str, settings: dict[str, str]) -> Path:
    """The output folder, if it holds nothing else than scores of the same settings."""
    folder = Path(output)
    filled = any((folder / "scores").glob("*.npz")) or (folder / "report.json").exists()
    if filled:
        check_settings(folder / SETTINGS, settings, f"--output {output}: holds scores", "choose another folder", WHERE)
    write_settings(folder / SETTINGS, settings)
    return folder


def scores_folder(args: argparse.Namespace) -> Path:
    """Where the scores lie, or will."""
    return Path(args.scores or Path(args.output, "scores"))


def run(args: argparse.Namespace) -> int:
    """Score what has no scores, then report; status 1 when a video is missing or not the annotated one."""
    if absent := [name for name in ("evaluate", "sklearn", "matplotlib") if find_spec(name) is None]:
        raise CommandError(f'the report needs {absent[0]}: pip install -c constraints.txt -e ".[eval]"')
    if args.model and not args.videos:
        raise CommandError("--model scores videos: pass --videos, the folder that holds them")
    if args.scores and not os.path.isdir(args.scores):
        raise CommandError(f"--scores {args.scores}: no such folder; expected one of <video>.npz")
    if args.videos and not os.path.isdir(args.videos):
        raise CommandError(f"--videos {args.videos}: no such folder; pass the one that holds the videos")
    tests = read_tests(args.protocol, args.annotations, args.split, args.videos, scores_folder(args))
    settings = settings_of(args)
    with sole_run(output_folder(args.output)):
        return score_and_report(args, tests, settings)


def score_and_report(args: argparse.Namespace, tests: dict[str, AnnotatedVideo], settings: dict[str, str]) -> int:
    """The run, with the output folder to itself."""
    output = claim_output(args.output, settings)
    folder = scores_folder(args)
    problems = {}
    if args.model:
        problems = score_missing(tests, args.videos, folder, args.model, args.device, args.dtype)
    videos = read_videos(tests, folder, problems, args.interval_end, args.length, args.videos)
    for line in few_of([f"{name}: {problems[name]}" for name in tests if name in problems], output):
        print(f"error: {line}", file=sys.stderr)
    if not videos:
        raise CommandError(f"none of the {len(tests)} test videos has scores that can be counted: nothing to report")
    warn_of_lengths(tests, videos)

    from eval.frames.report import build_report, write_report

    options = {"protocol": args.protocol, "interval_end": args.interval_end, "length": args.length}
    options |= {"split": args.split} if args.protocol == "hivau" else {}
    report = build_report(videos, {**settings, **options, "annotations": args.annotations}, problems)
    print(write_report(videos, report, output))
    print(f"wrote {output}")
    return 1 if problems else 0


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    return run_command(run, build_parser().parse_args(argv))


if __name__ == "__main__":
    raise SystemExit(main())
