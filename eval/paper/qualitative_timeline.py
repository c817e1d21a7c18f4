"""`eval/qualitative.py timeline`: scores, annotated spans and chosen frames of test videos, a picture each."""

import argparse
import os
import sys
from contextlib import ExitStack
from pathlib import Path

from eval.answers.predict import SAMPLERS
from eval.frames.truth import PROTOCOLS, AnnotatedVideo, read_tests
from eval.paper.qualitative_rows import add_random_arguments, check_names, choose_some
from hivau70k_dataset.ground_truth import check_spans
from hivau70k_dataset.schema import SPLITS
from hivau70k_dataset.videos import VideoFolder
from modeling_holmes_vau.base.commands import CommandError, output_folder
from modeling_holmes_vau.base.files import few_of, write_whole
from modeling_holmes_vau.base.runs import WHERE, check_settings, sole_run, write_settings
from modeling_holmes_vau.base.share import do_all
from modeling_holmes_vau.checkpoint.folder import DIGESTED
from modeling_holmes_vau.spans_holmes_vau import check_segment


SETTINGS = "settings.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `eval/qualitative.py timeline`."""
    parser.add_argument("--annotations", required=True, metavar="PATH", help="what --protocol reads")
    parser.add_argument("--videos", required=True, metavar="DIR", help="folder of the videos")
    parser.add_argument("--model", metavar="DIR", help="checkpoint folder or Hub name; default: holmes-vau-mini")
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="folder of the pictures; goes on there")
    parser.add_argument(
        "--protocol",
        choices=PROTOCOLS,
        default="hivau",
        help="of the annotations: HIVAU-70k's form (default), or the test annotation file of a benchmark",
    )
    parser.add_argument("--split", choices=SPLITS, default="test", help="of the hivau annotations (test)")
    group = parser.add_argument_group("videos; without any of these: all")
    group.add_argument("--videos-named", nargs="+", metavar="VIDEO", help="these")
    add_random_arguments(group, "videos")
    parser.add_argument("--num-frames", type=int, metavar="N", help="how many frames are chosen (the checkpoint's)")
    parser.add_argument("--sampler", choices=SAMPLERS, help="how (the checkpoint's)")
    parser.add_argument("--threshold", type=float, metavar="SCORE", help="score of an event (the checkpoint's)")
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps; default: the fastest there is")
    parser.add_argument(
        "--dtype", default="auto", choices=("auto", "float32", "bfloat16", "float16"), help="default: the checkpoint's"
    )


def run(args: argparse.Namespace) -> int:
    """Draw what has no picture; status 1 where a video could not be drawn."""
    check_arguments(args)
    tests = read_tests(args.protocol, args.annotations, args.split, args.videos)
    tests = {name: tests[name] for name in choose_videos(args, list(tests))}
    settings, folder = settings_of(args), output_folder(args.output)
    with ExitStack() as alone:
        alone.enter_context(sole_run(folder))
        if any(folder.glob("*.png")):
            holds = f"--output {folder}: holds pictures"
            check_settings(folder / SETTINGS, settings, holds, "choose another folder", WHERE)
        write_settings(folder / SETTINGS, settings)
        problems = draw_missing(args, tests, folder)
    for line in few_of([f"{name}: {said}" for name, said in problems.items()], folder):
        print(f"error: {line}", file=sys.stderr)
    print(f"{len(tests) - len(problems)} of {len(tests)} pictures are in {folder}")
    return 1 if problems else 0


def check_arguments(args: argparse.Namespace) -> None:
    """Mistakes that show before anything is read."""
    if not os.path.isdir(args.videos):
        raise CommandError(f"--videos {args.videos}: no such folder; pass the one that holds the videos")
    if args.num_frames is not None and args.num_frames < 1:
        raise CommandError(f"--num-frames must be at least 1, got {args.num_frames}")
    if args.threshold is not None and not 0 < args.threshold <= 1:
        raise CommandError(f"--threshold must be a score above 0 and at most 1, got {args.threshold:g}")


def choose_videos(args: argparse.Namespace, names: list[str]) -> list[str]:
    """The videos to draw."""
    check_names(args.videos_named, names)
    kept = [name for name in names if not args.videos_named or name in args.videos_named]
    return kept if args.random is None else choose_some(kept, args.random, args.seed, "videos")


def settings_of(args: argparse.Namespace) -> dict:
    """What decides the pictures."""
    from modeling_holmes_vau.checkpoint.known import default_checkpoint
    from modeling_holmes_vau.checkpoint.load import checkpoint_digest

    args.model = args.model or str(default_checkpoint())
    names = ("model", "num_frames", "sampler", "threshold", "dtype", "protocol")
    return {**{name: vars(args)[name] for name in names}, "digest": checkpoint_digest(args.model, DIGESTED)}


def draw_missing(args: argparse.Namespace, tests: dict[str, AnnotatedVideo], folder: Path) -> dict[str, str]:
    """Draw the videos that have no picture yet; why some could not be, by name."""
    from modeling_holmes_vau.checkpoint.load import load_on_device

    missing = [name for name in tests if not (folder / f"{name}.png").is_file()]
    if not missing:
        return {}
    model, processor = load_on_device(args.model, args.device, args.dtype)
    if model.config.warning:
        print(f"warning: {model.config.warning}", file=sys.stderr)
    videos = VideoFolder(args.videos)
    for note in videos.notes:
        print(f"note: {note}", file=sys.stderr)

    def draw(name: str) -> None:
        found = videos.find_whole(tests[name].entry)
        if found is None:
            raise ValueError(f"missing: no file of that name under {args.videos}")
        write_whole(folder / f"{name}.png", draw_video(found.path, tests[name], model, processor, args))

    return do_all(missing, draw, str, "pictures", "video", own_errors=(ValueError, OSError, RuntimeError, MemoryError))


def draw_video(path: str, test: AnnotatedVideo, model, processor, args: argparse.Namespace) -> bytes:
    """Score a video, choose its frames, and draw both with its annotated spans; the language model is not asked."""
    from modeling_holmes_vau.report.picture import draw_timeline
    from modeling_holmes_vau.session_holmes_vau import VideoSession
    from modeling_holmes_vau.video_reader_holmes_vau import open_video

    with open_video(path, processor.video_backend, strict=False) as reader:
        truth_s = truth_spans_s(test, reader)
        options = {"num_frames": args.num_frames, "sampler": args.sampler, "event_threshold": args.threshold}
        session = VideoSession(reader, model, processor, **options)
        analysis = session.analysis(session.encoded(), "", "", 0.0)
        return draw_timeline(analysis, reader.read(analysis.sampled_frame_indices), truth_s)


def truth_spans_s(test: AnnotatedVideo, reader) -> list[tuple[float, float]]:
    """
    The annotated spans of an opened video, in seconds.

    Raises:
        `ValueError`: One line, if one is past the end: then it is another copy, or another video.
    """
    if test.fps:  # annotated in seconds
        events = test.entry.events if test.entry.labels else ()
        spans_s = [(float(event.start_s), float(event.end_s)) for event in events]
        for span_s in spans_s:
            check_segment(span_s, reader.duration_s, reader.fps)
        return spans_s
    check_spans(test.truth, reader.num_frames)
    borders_s = [*map(float, reader.timestamps_s), reader.duration_s]  # a span ends where its last frame begins
    return [(borders_s[first], borders_s[min(last, reader.num_frames)]) for first, last in test.truth.spans]
