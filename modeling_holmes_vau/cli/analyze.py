"""`holmes-vau analyze`: options, what is printed, and the run over many videos."""

import argparse
import importlib.util
import itertools
import json
import os
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from ..base.clock import clock, parse_clock
from ..base.commands import CommandError, first_line, output_folder
from ..base.files import NAMED_PROBLEMS, few_of
from ..checkpoint.known import ATTENTION_HELP, ATTENTIONS, MINI
from ..levels_holmes_vau import LEVELS
from .inputs import find_videos
from .outputs import is_done, report_folders, update_index
from .served import OPTIONS, add_served_options, as_they_come, check_served, open_session_for
from .shares import local_device, shard_of, videos_of_share, whole_share
from .terminal import summary


def add_analyze(parser: argparse.ArgumentParser) -> None:
    """Arguments of `holmes-vau analyze`."""
    parser.add_argument("videos", nargs="+", metavar="VIDEO", help="video files, folders (searched through) or globs")
    parser.add_argument(
        "--prompt", action="append", help="a question, may be repeated; default: which anomaly events there are"
    )
    parser.add_argument("--questions", metavar="FILE", help="questions to ask of every video, a line each")
    parser.add_argument(
        "--granularity",
        nargs="*",
        choices=LEVELS,
        metavar="LEVEL",
        help="what is described beside: some of video, event, clip (video event); none: the answer alone",
    )
    add_video_options(parser)
    parser.add_argument(
        "--no-scores",
        action="store_true",
        help="score nothing: only the frames that the language model sees are decoded, evenly spread; a long video "
        "takes hardly longer than a short one, and there are no scores, no curve, no events, no words about them",
    )
    parser.add_argument(
        "--skip-static",
        action="store_true",
        help="do not encode frames that show nothing new beside the noise of the recording: faster on calm cameras, "
        "and scores change a little (docs/tower.md)",
    )
    parser.add_argument(
        "--batch-size",
        type=int,
        metavar="N",
        help="questions about a video that are answered together, with equal answers; default: as many as have 16,384 "
        "tokens of frames, 1 to 8",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        help="write a page, subtitles, tables and pictures to DIR/NAME, and DIR/index.html about all of them",
    )
    parser.add_argument(
        "--resume", action="store_true", help="skip videos that have a report in --output, made with the same options"
    )
    parser.add_argument(
        "--shard",
        type=shard_of,
        metavar="I/N",
        help="only the I-th of N shares of the videos, for several machines; `collect` joins them",
    )
    parser.add_argument("--json", action="store_true", help="print each analysis as one line of JSON")
    add_served_options(parser)


def add_video_options(parser: argparse.ArgumentParser) -> None:
    """How a video is read, scored and asked about, and with which model."""
    parser.add_argument(
        "--model",
        metavar="DIR",
        help="checkpoint folder or Hub name; default: holmes-vau-mini, which knows the miniature",
    )
    parser.add_argument("--num-frames", type=int, metavar="N", help="frames the language model sees")
    parser.add_argument(
        "--sampler", metavar="NAME", help="how they are chosen: ats, ats_norm, nearest, top_k, uniform"
    )
    parser.add_argument("--stride", type=int, metavar="K", help="score every K-th frame")
    parser.add_argument(
        "--segment",
        action="append",
        type=time_of,
        nargs=2,
        metavar=("START", "END"),
        help="this span only: times in seconds, m:ss.s or h:mm:ss.s",
    )
    parser.add_argument(
        "--threshold",
        type=float,
        metavar="SCORE",
        help="score that makes an event (the checkpoint's: 0.5); the one that keeps it going, 0.3, is scaled with it",
    )
    parser.add_argument("--max-new-tokens", type=int, metavar="N", help="longest answer, in tokens")
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps; default: the fastest there is")
    parser.add_argument(
        "--dtype", default="auto", choices=("auto", "float32", "bfloat16", "float16"), help="default: the checkpoint's"
    )
    parser.add_argument("--attention", choices=ATTENTIONS, help=ATTENTION_HELP)
    parser.add_argument(
        "--strict",
        action="store_true",
        help="refuse videos that are damaged or cut short; default: read the rest",
    )


def time_of(text: str) -> float:
    """A time on the command line, in seconds."""
    if (time_s := parse_clock(text)) is None:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a time, as 62.5, 1:02.5 or 0:01:02.5")
    return time_s


SINCE = ("no_scores", "skip_static")
BEFORE_SCORES = ("threshold", "stride")  # options that speak of scores


def options_of(args: argparse.Namespace) -> dict:
    """The options that decide what an analysis says; kept in it, so that `--resume` knows what is done."""
    names = ("model", "prompt", "num_frames", "sampler", "stride", "segment", "threshold", "max_new_tokens", "dtype")
    names += ("strict", "granularity")
    asked = {name: True for name in SINCE if getattr(args, name)}  # reports of before have no word of them
    asked |= {name: getattr(args, name) for name in OPTIONS} if args.endpoint else {}
    return {name: getattr(args, name) for name in names} | asked


class Bars:
    """Bars over the frames of one video, then over the answers to what is asked about it."""

    def __init__(self, name: str):
        self.name, self._bar, self._unit = name, None, ""

    def _show(self, done: int, total: int, unit: str) -> None:
        from ..base.progress import Progress

        if self._unit != unit:
            self.close()
            self._bar, self._unit = Progress(desc=self.name, total=total, unit=unit, leave=False, position=1), unit
        self._bar.update(done - self._bar.n)

    def frames(self, done: int, total: int) -> None:
        """Frames read, and frames in all."""
        self._show(done, total, "frame")

    def answers(self, done: int, total: int) -> None:
        """Answers given, and answers in all."""
        self._show(done, total, "answer")

    def close(self) -> None:
        """Take the last bar away."""
        if self._bar is not None:
            self._bar.close()


def analyze_one(reader, video: str, model, processor, args, open_session):
    """Analyse one opened video, with progress bars: [`Analysis`]."""
    from ..pipeline_holmes_vau import DEFAULT_PROMPT, analyze_video

    limit = {} if args.max_new_tokens is None else {"max_new_tokens": args.max_new_tokens}
    with closing(Bars(Path(video).name)) as bars:
        analysis = analyze_video(
            reader,
            model,
            processor,
            prompt=args.prompt or DEFAULT_PROMPT,
            granularity=args.granularity,
            num_frames=args.num_frames,
            frame_stride=args.stride,
            segment_s=args.segment and tuple(args.segment),
            sampler=args.sampler,
            on_progress=bars.frames,
            on_answer=None if args.endpoint else bars.answers,  # of several videos at a time they would mix
            event_threshold=args.threshold,
            strict=args.strict,
            batch_size=args.batch_size or (2 * args.concurrency if args.endpoint else None),
            open_session=open_session,
            scored=not args.no_scores,
            skip_static=args.skip_static,
            **limit,
        )
    return replace(analysis, video=os.path.abspath(video), model=args.model or MINI, options=options_of(args))


def try_one(video: str, model, processor, args, open_session) -> tuple | str:
    """A video opened, and its analysis; one line that says why if that failed."""
    from ..video_reader_holmes_vau import open_video

    try:
        reader = open_video(video, processor.video_backend, strict=args.strict)
        return reader, analyze_one(reader, video, model, processor, args, open_session)
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        said = first_line(error)
        return said if video in said else f"{video}: {said}"


def finish_one(video: str, outcome: tuple | str, model, args, folder: Path | None) -> str | None:
    """Print what `try_one` gave and write its report; one line that says why if either failed."""
    from ..base.progress import Progress
    from ..report.write import write_report

    if isinstance(outcome, str):
        return outcome
    reader, analysis = outcome
    said = (analysis.warning or "").removeprefix(model.config.warning or "").lstrip(" |")
    if said:
        print(f"warning: {video}: {said}", file=sys.stderr)
    with Progress.external_write_mode():  # above the bars
        print(json.dumps(analysis, ensure_ascii=False) if args.json else summary(analysis, video), flush=True)
    if folder is None:
        return None
    try:
        frames = reader.read(analysis.sampled_frame_indices)
        page = write_report(analysis, frames, folder, video, reader.frames)["report"]
    except (ValueError, OSError) as error:
        return f"{video}: analysed, but the report could not be written: {first_line(error)}"
    if not args.json:
        print(f"  report   {page}", flush=True)
    return None


def tell(problems: list[str]) -> None:
    """Print the last of the problems that there are by now, while they are few: see `few_of`."""
    if len(problems) <= NAMED_PROBLEMS:
        print(f"error: {problems[-1]}", file=sys.stderr)


def tell_rest(problems: list[str], output: str | None) -> None:
    """Print, at the end, what `tell` left out of many problems, or the name of the file that has it."""
    for line in few_of(problems, Path(output) if output else None)[NAMED_PROBLEMS:]:
        print(f"error: {line}", file=sys.stderr)


def load_for(args: argparse.Namespace):
    """Model and processor of `analyze`, and what is to be said of them on stderr."""
    from ..checkpoint.load import load_checkpoint, load_eyes, load_on_device

    load = load_eyes if vars(args).get("endpoint") else load_checkpoint
    device = args.device or local_device(os.environ)
    model, processor = load_on_device(args.model, device, args.dtype, attention=vars(args).get("attention"), load=load)
    check_prompts(getattr(args, "prompt", None), processor)
    if model.config.warning:
        print(f"warning: {model.config.warning}", file=sys.stderr)
    if args.model is None:
        print(f"note: {MINI} is used; for real video pass --model", file=sys.stderr)
    return model, processor


def run_all(videos: list[str], model, processor, args, folders: dict[str, Path], problems: list[str]) -> None:
    """Analyse videos one after another, or with a server several at a time, with a bar over all; what fails is told
    and added to the problems."""
    from ..base.progress import Progress

    open_session, numbers, many = open_session_for(args), itertools.count(1), len(videos) > 1

    def analyze(video: str) -> tuple | str:
        if many:
            with Progress.external_write_mode():
                print(f"{next(numbers)} of {len(videos)}: {video}", file=sys.stderr)
        return try_one(video, model, processor, args, open_session)

    outcomes = ((video, analyze(video)) for video in videos)
    if args.endpoint:
        words = open_session.keywords["words"]
        outcomes = as_they_come(videos, analyze, args.concurrency, lambda: words.client.stop("stopped"))
    with (
        closing(outcomes),
        Progress(outcomes, "videos", len(videos), unit="video", position=0, disable=not many) as bar,
    ):
        for video, outcome in bar:
            if problem := finish_one(video, outcome, model, args, folders.get(video)):
                problems.append(problem)
                tell(problems)


def index_reports(args: argparse.Namespace, problems: list[str]) -> None:
    """Bring the page about all reports up to date, and say where it is."""
    try:
        index = update_index(Path(args.output))
    except (ValueError, OSError) as error:
        problems.append(f"{args.output}: the index of the reports could not be written: {first_line(error)}")
        tell(problems)
        return
    if index is not None and not args.json:
        print(f"index {index}", flush=True)


def check_options(args: argparse.Namespace) -> None:
    """Mistakes in the options of `analyze` that show before anything is read; `prompt` becomes all questions."""
    if any(not prompt.strip() for prompt in args.prompt or ()):
        raise CommandError("--prompt is empty: pass a question, or leave it out for the usual one")
    args.prompt = [*(args.prompt or ()), *read_questions(args.questions)] or None
    if args.no_scores:
        check_without_scores(args)
    if args.granularity is None:
        args.granularity = ["video"] if args.no_scores else ["video", "event"]
    check_video_options(args)


def check_without_scores(args: argparse.Namespace) -> None:
    """What needs scores goes with none of them."""
    named = [f"--{name}" for name in BEFORE_SCORES if getattr(args, name) is not None]
    if args.sampler not in (None, "uniform"):
        named.append(f"--sampler {args.sampler}")
    named += ["--skip-static"] if args.skip_static else []
    named += [f"--granularity {level}" for level in args.granularity or () if level != "video"]
    if named:
        raise CommandError(f"--no-scores leaves out what {named[0]} needs: scores, and the events in them; pass one")


def check_video_options(args: argparse.Namespace) -> None:
    """Mistakes in how a video is to be read and asked about; `segment` becomes the one span."""
    check_served(args)
    if args.sampler:
        from ..sampler_holmes_vau import check_sampler

        check_sampler(args.sampler)
    if args.threshold is not None and not 0 < args.threshold <= 1:
        raise CommandError(f"--threshold must be a score above 0 and at most 1, got {args.threshold:g}")
    segments = args.segment or []
    if len(segments) > 1:
        raise CommandError(f"--segment is there {len(segments)} times: pass one span a call")
    args.segment = segments[0] if segments else None
    if args.segment and not args.segment[0] < args.segment[1]:
        start, end = map(clock, args.segment)
        raise CommandError(f"--segment {start} {end}: the end must lie behind the start")


def read_questions(path: str | None) -> list[str]:
    """The questions of a file, a line each; empty lines are none."""
    if path is None:
        return []
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        said = "is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else first_line(error)
        raise CommandError(f"--questions {path}: {said}; pass a text file with a question a line") from error
    if not (questions := [line.strip() for line in lines if line.strip()]):
        raise CommandError(f"--questions {path}: holds no question; write one a line")
    return questions


def check_prompts(prompts: list[str] | None, processor) -> None:
    """What stands for pictures can be no part of a question."""
    for token in (processor.video_token, processor.image_token):
        if any(token in prompt for prompt in prompts or ()):
            raise CommandError(f"a question holds {token}, which stands for pictures: leave it out")


def take_share(args: argparse.Namespace, videos: list[str]) -> list[str]:
    """The videos that this process analyses: its share, of the machine's where there are several."""
    share = whole_share(args.shard, os.environ)
    if share is None:
        return videos
    mine = videos_of_share(videos, args.videos, share)
    print(f"share {share[0]} of {share[1]}: {len(mine)} of {len(videos)} videos", file=sys.stderr)
    return mine


def run_analyze(args: argparse.Namespace) -> int:
    """`holmes-vau analyze`: 0 if every video was analysed, 1 if one was not."""
    if args.output and importlib.util.find_spec("matplotlib") is None:
        raise CommandError('--output draws with matplotlib, which is missing: pip install "holmes-vau[demo]"')
    check_options(args)
    if args.resume and not args.output:
        raise CommandError("--resume looks for reports in --output: pass both")
    if args.output:
        output_folder(args.output)
    videos, problems, notes = find_videos(args.videos)
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    for count in range(len(problems)):
        tell(problems[: count + 1])
    folders = report_folders(videos, args.output, options_of(args)) if args.output else {}  # of all shares alike
    videos = take_share(args, videos)
    if args.resume:
        done = [video for video in videos if is_done(folders[video], options_of(args))]
        for video in done:
            print(f"done before: {video} ({folders[video] / 'report.html'})", file=sys.stderr)
        videos = [video for video in videos if video not in done]
    try:
        if videos:
            run_all(videos, *load_for(args), args, folders, problems)
    finally:  # also of a run that is interrupted
        if args.output:
            index_reports(args, problems)
        tell_rest(problems, args.output)
    return 1 if problems else 0
