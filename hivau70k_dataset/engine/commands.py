"""`python -m hivau70k_dataset annotate`: the steps of the engine, run one by one or all together."""

import argparse
import logging
import shutil
from collections.abc import Iterable
from pathlib import Path

from modeling_holmes_vau.answering.answerer import AUTO, VIDEO
from modeling_holmes_vau.base.files import few_of
from modeling_holmes_vau.base.parser import server_key
from modeling_holmes_vau.base.runs import sole_run

from ..schema import AnnotationError
from .calls import Asked, Budget, CallBook, Outcome
from .caption import ask_about, caption_all, find_clips
from .division import Division
from .instruct import annotate, write_annotations
from .options import ON_THE_HUB
from .prompts import Prompts
from .state import State, read_asked
from .summarise import event_calls, summarise_all, unfinished, video_calls, write_with
from .work import Collection, Work, describe, file_digest


logger = logging.getLogger(__name__)

SHOWN = 3  # prompts of a dry run
LAST_PORT = 65535


def run_annotate(args: argparse.Namespace) -> int:
    """Run a step; the exit status is 1 when something could not be done."""
    for name, least in (("concurrency", 1), ("max_new_tokens", 1), ("num_frames", 1), ("max_cost", 0), ("port", 0)):
        if (value := vars(args).get(name)) is not None and value < least:
            raise AnnotationError(f"--{name.replace('_', '-')} must be at least {least}, got {value:g}")
    if vars(args).get("port", 0) > LAST_PORT:
        raise AnnotationError(f"--port must be at most {LAST_PORT}, got {args.port}")
    if min(vars(args).get("price", (0, 0))) < 0:
        raise AnnotationError(f"--price must be 0 or more, got {' '.join(f'{price:g}' for price in args.price)}")
    return STEPS[args.step](args, Work(Path(args.work)))


# ---- step 1 ---------------------------------------------------------------------------------------------------------


def run_decouple(args: argparse.Namespace, work: Work) -> int:
    """Take the videos apart."""
    from ..videos import VideoFolder
    from .boundaries import read_uca
    from .decouple import Decoupler, decouple_all

    if not args.events and not args.scorer:
        raise AnnotationError("Pass --events FILE with boundaries, or --scorer MODEL to have them proposed.")
    videos = VideoFolder(args.videos)
    for note in videos.notes:
        logger.warning(note)
    division = Division(
        args.clips_by,
        args.clip_seconds,
        tuple(args.clip_range),
        tuple(args.normal_range),
        tuple(args.normal_events),
        args.division_seed,
    )
    given, missing = find_videos(args, videos)
    if not given and not missing:
        raise AnnotationError(f"--videos {args.videos}: holds no videos; pass the folder that does.")
    clips = read_uca(args.clips) if args.clips else {}
    decoupler = Decoupler(videos.root, division, clips, load_proposer(args), proposes=not args.events)
    work.begin(Collection(str(videos.root), args.source, args.split))
    with sole_run(work.decoupled.path.parent):
        if args.redo:
            work.decoupled.rewrite([])
        problems = missing | decouple_all(work, given, decoupler, decouple_settings(args, division))
    for line in few_of([f"left out: {name}: {why}" for name, why in problems.items()], work.root):
        logger.warning(line)
    print(f"{work.root}: {describe(work.videos())}")
    return 1 if problems else 0


def find_videos(args: argparse.Namespace, videos) -> tuple[list, dict[str, str]]:
    """The videos to take apart, [`GivenVideo`], and why others are left out."""
    from .boundaries import all_videos, read_boundaries, read_labels

    if args.events:
        return read_boundaries(args.events, videos, args.source, args.split, args.events_form, progress=True)
    return all_videos(videos, read_labels(args.labels)), {}


def decouple_settings(args: argparse.Namespace, division: Division) -> dict:
    """What decides what step 1 writes."""
    files = {name: vars(args)[name] for name in ("events", "labels", "clips")}
    settings = {name: file_digest(path) if path and path.is_file() else None for name, path in files.items()}
    settings |= {"scorer": args.scorer and model_name(args.scorer), "threshold": args.threshold}
    return settings | {"names_classes": not args.no_names, "division": vars(division)}


def load_proposer(args: argparse.Namespace):
    """The scorer that was asked for, if any."""
    if args.scorer is None:
        return None
    from modeling_holmes_vau.checkpoint.load import load_on_device

    from .proposals import Proposer

    model, processor = load_on_device(args.scorer, args.device, args.dtype, "--scorer")
    if model.config.warning:
        logger.warning(f"--scorer {args.scorer}: {model.config.warning}")
    return Proposer(model, processor, args.threshold, names_classes=not args.no_names)


def model_name(name: str, endpoint: str | None = None) -> str:
    """A model as journals name it: a folder by its own name and a digest of its weights, so that one that was
    trained again under the same name is another."""
    folder = Path(name)
    if endpoint is not None or not folder.is_dir():
        return name
    weights = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))
    return "@".join([folder.resolve().name, *(file_digest(path) for path in weights[:1])])


# ---- steps 2 and 3 --------------------------------------------------------------------------------------------------


def run_caption(args: argparse.Namespace, work: Work) -> int:
    """Caption the clips."""
    from modeling_holmes_vau.answering import load_answerer

    state, book, prompt = State(work), CallBook(work.captions, args.shard), Prompts.read(args.prompts).caption
    clips = find_clips(state, prompt, book.is_own)
    settings = {"num_frames": args.num_frames, "max_new_tokens": args.max_new_tokens}
    settings |= frames_settings(args)
    name = model_name(args.model, args.endpoint)
    if args.dry_run:
        keys = {call.key(name, settings) for call in clips.calls}
        print(f"{len(clips.calls)} clips want a caption, {len(keys & book.lines.keys())} have one of {name};")
        print(f"{clips.given} were given. Each is asked:\n{prompt}")
        return 0
    if not clips.calls:
        print(f"{work.root}: no clip wants a caption ({clips.given} were given)")
        return 0
    budget = Budget(*args.price, args.max_cost)
    is_missing = any(call.key(name, settings) not in book.lines for call in clips.calls)
    place = args.model if args.endpoint else ON_THE_HUB.get(args.model, args.model)
    answerer = load_answerer(place, args.endpoint, **answerer_options(args, place)) if is_missing else None
    ask = ask_about(answerer, clips) if answerer is not None else _nobody
    asked = Asked(name, settings, ask, args.concurrency if args.endpoint else 1)
    outcome = caption_all(state, asked, clips, prompt, budget, book)
    return tell(outcome, book, budget, work, "captions")


def frames_settings(args: argparse.Namespace) -> dict:
    """How a captioner that is not Holmes-VAU is shown frames, as journals tell it; they call images of a server
    pictures, and no call is paid for again for a word."""
    if args.endpoint:
        return {"frames_as": VIDEO if args.frames_as == VIDEO else "pictures"}
    from modeling_holmes_vau.answering import model_type

    if not Path(args.model).is_dir() or model_type(args.model) != "holmes_vau":
        return {"frames_as": args.frames_as}
    if args.frames_as != AUTO:
        raise AnnotationError(f"--frames-as is for other models than Holmes-VAU, as {args.model} is: leave it out.")
    return {}


def _nobody(call) -> None:
    raise AssertionError("all calls have been made")


def answerer_options(args: argparse.Namespace, place: str) -> dict:
    """The options of `load_answerer` that the arguments name, for the model at `place`."""
    options = {"num_frames": args.num_frames, "max_new_tokens": args.max_new_tokens}
    if args.endpoint:
        return options | server_options(args) | {"concurrency": args.concurrency, "frames_as": args.frames_as}
    from modeling_holmes_vau.answering import model_type

    options |= {"device": args.device, "dtype": args.dtype}
    if model_type(place) == "holmes_vau":
        return options
    options["frames_as"] = args.frames_as
    return options | {"processor_kwargs": args.processor_kwargs, "trust_remote_code": args.trust_remote_code}


def server_options(args: argparse.Namespace) -> dict:
    """Key, time-out and retries of a server."""
    return {"api_key": server_key(args.api_key_env), "timeout_s": args.timeout, "retries": args.retries}


def run_summarise(args: argparse.Namespace, work: Work) -> int:
    """Summarise events and videos."""
    from modeling_holmes_vau.answering import load_writer

    state, book, prompts = State(work), CallBook(work.summaries, args.shard), Prompts.read(args.prompts)
    settings, name = {"max_new_tokens": args.max_new_tokens}, model_name(args.model, args.endpoint)
    if args.dry_run:
        return tell_summaries(state, prompts, book)
    options = server_options(args) if args.endpoint else {"device": args.device, "dtype": args.dtype}
    place = args.model if args.endpoint else ON_THE_HUB.get(args.model, args.model)
    writer = load_writer(place, args.endpoint, max_new_tokens=args.max_new_tokens, **options)
    budget = Budget(*args.price, args.max_cost)
    asked = Asked(name, settings, write_with(writer), args.concurrency if args.endpoint else 1)
    outcome = summarise_all(state, asked, prompts, budget, book)
    status = tell(outcome, book, budget, work, "summaries")
    missing = [f"{item}: {' '.join(problem.split())[:160]}" for item, problem in unfinished(State(work))]
    for line in few_of([f"has no summary: {line}" for line in missing], work.root, "errors-summarise.txt"):
        logger.warning(line)
    return status


def tell_summaries(state: State, prompts: Prompts, book: CallBook) -> int:
    """What a dry run of step 3 prints."""
    state.prompts = prompts
    if state.summariser is None:
        state.summariser = {"model": "", "settings": {}}
    events, videos = event_calls(state, book.is_own), video_calls(state, book.is_own)
    ready = [calls[0] for calls in (*events, *videos) if calls]
    waiting = sum(not calls for calls in (*events, *videos))
    print(
        f"{len(events)} events and {len(videos)} videos want a summary; {waiting} of them wait for texts beneath them"
    )
    for call in ready[:SHOWN]:
        print(f"\n{call.item}:\n{call.prompt}")
    if len(ready) > SHOWN:
        print(f"\n... and {len(ready) - SHOWN} more")
    return 0


def tell(outcome: Outcome, book: CallBook, budget: Budget, work: Work, what: str) -> int:
    """Print what a step has cost, and what could not be done."""
    problems = [f"left out: {item}: {why}" for item, why in outcome.problems.items()]
    for line in few_of(problems, work.root, f"errors-{what}.txt"):
        logger.warning(line)
    print(f"{work.root}: {what}: {book.tally().describe(budget)}")
    if outcome.stopped:
        logger.warning(f"{outcome.stopped}; what was answered is kept, run the same command with more to go on")
    return 1 if outcome.problems or outcome.stopped else 0


# ---- steps 4 and 5 --------------------------------------------------------------------------------------------------


def run_review(args: argparse.Namespace, work: Work) -> int:
    """Serve the page, or write or read the table."""
    from .review import read_table_decisions, serve, write_table

    if args.write_table:
        write_table(State(work), args.write_table)
        print(f"wrote {args.write_table}")
        return 0
    if args.read_table:
        if not args.who:
            raise AnnotationError("--read-table needs --who NAME: a decision is somebody's.")
        taken, left = read_table_decisions(State(work), args.read_table, args.who)
        for line in few_of([f"left out: {reason}" for reason in left], None):
            logger.warning(line)
        print(f"{work.root}: {len(taken)} decisions of {args.who}")
        return 1 if left else 0
    return serve(work, args.port, args.open)


def why_nothing(reasons: Iterable[str]) -> str:
    """Why no video is left to write, and what to do."""
    reasons = list(reasons)
    unread = reasons.count("not reviewed")
    empty, said = len(reasons) - unread, []
    if empty:
        said.append(
            f"{empty} items have no text: `annotate caption` and `annotate summarise` make them, with a model whose "
            "replies can be read, or people write them in `annotate review`"
        )
    if unread:
        said.append(f"{unread} items are not reviewed: `annotate review` comes first, or pass --unreviewed")
    return "; ".join(said) or "there are no videos"


def run_instruct(args: argparse.Namespace, work: Work) -> int:
    """Write annotations and rows."""
    state, output = State(work), args.output or work.annotations
    done = annotate(state, args.unreviewed)
    counts = ", ".join(f"{count} {status}" for status, count in done.counts.items())
    if not done.annotations:
        raise AnnotationError(
            f"--work {work.root}: nothing to write of {counts or 'nothing'}: {why_nothing(done.left_out.values())}"
        )
    if args.output:
        rows = write_annotations(state, output, done.annotations, args.seed, args.conversations)
    else:  # in the place of what this step made before
        fresh = output.with_name(f"{output.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        rows = write_annotations(state, fresh, done.annotations, args.seed, args.conversations)
        shutil.rmtree(output, ignore_errors=True)
        fresh.rename(output)
    lines = [f"left out: {item}: {' '.join(why.split())[:160]}" for item, why in done.left_out.items()]
    for line in few_of(lines, work.root, "errors-instruct.txt"):
        logger.warning(line)
    print(f"wrote {output}: {len(done.annotations)} videos, {len(rows)} rows, of {counts} items")
    return 0


def run_status(args: argparse.Namespace, work: Work) -> int:
    """Tell what is there."""
    state = State(work)
    print(describe(state.videos()))
    for step, folder in (("captions", work.captions), ("summaries", work.summaries)):
        asked = read_asked(folder)
        print(
            f"{step}: {CallBook(folder).tally().describe() if asked else 'not begun'}"
            + (f"; by {asked['model']}" if asked else "")
        )
    missing = list(unfinished(state))
    print(f"without a summary: {len(missing)}")
    counts = ", ".join(f"{count} {status}" for status, count in annotate(state, unreviewed=True).counts.items())
    print(f"items: {counts}; {state.decisions.rev} decisions of people")
    return 0


def run_export(args: argparse.Namespace, work: Work) -> int:
    """Write everything in the form of another tool."""
    from .exchange import all_annotations
    from .formats import write_format

    output = write_format(all_annotations(State(work)), args.form, args.output)
    print(f"wrote {output}")
    return 0


def run_import(args: argparse.Namespace, work: Work) -> int:
    """Take what was changed in another tool."""
    from .exchange import take_changes
    from .formats import read_format

    state = State(work)
    collection = state.work.collection()
    annotations = read_format(args.file, args.form, collection.videos, collection.source, collection.split)
    taken = take_changes(state, annotations, args.who)
    for line in few_of([f"left out: {reason}" for reason in taken.left_out], None):
        logger.warning(line)
    print(f"{work.root}: {len(taken.decisions)} decisions of {args.who}")
    return 1 if taken.left_out else 0


# ---- all ------------------------------------------------------------------------------------------------------------


def run_all(args: argparse.Namespace, work: Work) -> int:
    """All steps. After the review captions and summaries are asked for again, where people have changed what they
    are of."""
    if args.no_review and not args.unreviewed:
        raise AnnotationError("--no-review leaves everything unreviewed: pass --unreviewed too, or review.")
    status = run_decouple(args, work) if not args.dry_run else 0
    status |= _texts(args, work)
    if args.dry_run or args.no_review:
        return status if args.dry_run else status | run_instruct(args, work)
    from .review import serve

    status |= serve(work, args.port, args.open)
    status |= _texts(args, work)
    return status | run_instruct(args, work)


def _texts(args: argparse.Namespace, work: Work) -> int:
    """Steps 2 and 3 with the arguments of `all`."""
    common = {**vars(args), "frames_as": AUTO, "processor_kwargs": None, "trust_remote_code": False}
    status = 0
    for name, run in (("captioner", run_caption), ("summariser", run_summarise)):
        asked = {"model": vars(args)[name], "endpoint": vars(args)[f"{name}_endpoint"]}
        asked |= {"api_key_env": vars(args)[f"{name}_key_env"]}
        status |= run(argparse.Namespace(**{**common, **asked}), work)
    return status


STEPS = {
    "decouple": run_decouple,
    "caption": run_caption,
    "summarise": run_summarise,
    "review": run_review,
    "instruct": run_instruct,
    "export": run_export,
    "import": run_import,
    "status": run_status,
    "all": run_all,
}
