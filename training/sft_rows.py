"""Stage 2, the rows of a run: conversations with the frames they show, kept in order for a run that goes on."""

import json
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from accelerate import PartialState
from accelerate.utils import gather_object

from modeling_holmes_vau.base.commands import first_line
from modeling_holmes_vau.base.files import PROBLEMS, few_of, write_whole
from modeling_holmes_vau.base.share import do_all
from modeling_holmes_vau.frame_rule_holmes_vau import FrameRule
from training.options import SFTArguments
from training.runs import in_turn
from training.sft_batch import TowerFeatures, is_text
from training.sft_data import Conversation, FrameChooser, NamedSegment, read_conversations, read_texts


logger = logging.getLogger(__name__)

ROWS = "rows.jsonl"  # in the output folder: what a run trains on, in order
UNSTORED = "errors-features.txt"  # in the output folder: of many segments whose features could not be stored


# ---- the rows of a run ----------------------------------------------------------------------------------------------


def take_rows(
    args: SFTArguments, output: Path, model, processor, goes_on: bool
) -> tuple[TowerFeatures | None, list[dict]]:
    """
    The rows to train on and their stored features, if `--feature-cache` asks for them.

    A run that goes on has the rows it began with, in their order: what can't be read any more is skipped, as it is
    when that happens on the way.

    Args:
        args ([`SFTArguments`]): What to train on.
        output (`Path`): Output folder of the run, where its rows are kept.
        model, processor: The checkpoint.
        goes_on (`bool`): Whether the run began before.

    Raises:
        `ValueError`: if nothing can be read, or what is missing cannot be skipped.
    """
    if goes_on:
        return _take_again(args, output, model, processor)
    rows = build_rows(args, model, processor, output)
    features, rows = store_features(args, model, processor, rows, output)
    rows += text_rows(args, len(rows))
    if PartialState().is_main_process:
        write_rows(output / ROWS, rows)
    return features, rows


def _take_again(args: SFTArguments, output: Path, model, processor) -> tuple[TowerFeatures | None, list[dict]]:
    there, problems = find_conversations(args, processor)
    kept = read_rows(output / ROWS)
    texts = [row for row in kept if is_text(row)]  # behind the others
    rows, missing = find_again(kept[: len(kept) - len(texts)], there, problems)
    _tell([f"skipped from here on: {name}: {problem}" for name, problem in missing.items()], output)
    if missing:
        logger.warning(
            f"{len(missing)} segments of this run can't be read now: put their videos back to train on them"
        )
    features, stored = store_features(args, model, processor, rows, output)
    if len(stored) < len(rows):
        raise ValueError(
            f"--feature-cache {args.feature_cache} lacks {len(rows) - len(stored)} rows of this run, whose videos "
            "can't be read now: put the videos or the cache back."
        )
    return features, rows + texts


def _tell(lines: list[str], output: Path | None, name: str = PROBLEMS) -> None:
    """Warn of problems; of many, the main process writes a file in `output`."""
    for line in few_of(lines, output if PartialState().is_main_process else None, name):
        logger.warning(line)


# ---- frames ---------------------------------------------------------------------------------------------------------


def find_conversations(args: SFTArguments, processor) -> tuple[list[Conversation], dict[str, str]]:
    """The conversations to train on, and why segments are left out."""
    placeholders = (processor.video_token, processor.image_token)
    return read_conversations(
        args.annotations,
        args.videos,
        args.levels,
        args.tasks,
        args.split,
        args.conversations,
        placeholders,
        args.general,
        args.general_spans,
    )


def frame_rule(args: SFTArguments, model, processor) -> FrameRule:
    """How frames are chosen: as told, else as the checkpoint does. Random frames need no scores."""
    ours = model.config.model_type == "holmes_vau"
    sampler = args.sampler or (model.config.sampler if ours else "ats")
    sampler = "uniform" if args.frame_policy == "original" else sampler
    tau = model.config.sampler_tau if ours else 0.0
    return FrameRule(processor.num_frames, processor.frame_stride, sampler, float(tau))


def build_rows(args: SFTArguments, model, processor, output: Path | None = None) -> list[dict]:
    """Conversations with their frames; segments that are missing or can't be read are named, counted, left out. Of
    many, the names are in a file in `output`."""
    found, missing = find_conversations(args, processor)
    segments = [conversation.segment for conversation in found]
    choices, problems = choose_all_frames(args, model, processor, segments)
    problems = missing | problems
    rows = [row for i, talk in enumerate(found) if (row := make_row(i, talk, choices))]
    names = dict.fromkeys([*missing, *(segment.name for segment in segments)])  # whichever process found it first
    _tell([f"left out: {name}: {problems[name]}" for name in names if name in problems], output)
    if len(rows) < len(found) or problems:
        logger.warning(f"{len(problems)} segments are left out; {len(rows)} conversations remain")
    if not rows:
        raise ValueError(f"No segment of {args.annotations} can be read under {args.videos}.")
    return rows


def choose_all_frames(
    args: SFTArguments, model, processor, segments: list[NamedSegment]
) -> tuple[dict[str, dict], dict[str, str]]:
    """The frames of segments by their keys, each process choosing its share; and why segments can't be read, by
    name."""
    state, rule = PartialState(), frame_rule(args, model, processor)
    chooser = FrameChooser(Path(args.frames_dir), rule, model, processor)
    problems = chooser.choose_all(segments, state.process_index, state.num_processes)
    state.wait_for_everyone()
    problems = dict(gather_object(list(problems.items())))
    chooser.frames.load()
    return chooser.frames.entries, problems


def make_row(number: int, conversation: Conversation, choices: dict[str, dict]) -> dict | None:
    """A row of the training set; `None` if no frames could be chosen."""
    segment = conversation.segment
    try:
        choice = choices.get(key := segment.key())
    except OSError:
        return None
    if choice is None:
        return None
    turns = [{"question": question, "answer": answer} for question, answer in conversation.turns]
    return {"row": number, "video": segment.name, "path": segment.path, "key": key, "turns": turns, **choice}


def text_rows(args: SFTArguments, first: int) -> list[dict]:
    """Rows of the training set that are a text without frames, numbered from `first`."""
    if not args.texts:
        return []
    texts = read_texts(args.annotations, args.texts, args.tasks, args.split)
    about = {"video": "", "path": "", "key": "", "first": 0, "count": 0, "frames": []}
    turns = [[{"question": "", "answer": text}] for text in texts]
    return [{"row": first + i, **about, "turns": turn} for i, turn in enumerate(turns)]


# ---- stored features ------------------------------------------------------------------------------------------------


def store_features(
    args: SFTArguments, model, processor, rows: list[dict], output: Path | None = None
) -> tuple[TowerFeatures | None, list[dict]]:
    """With a feature cache, encode what is missing from it; rows whose frames can't be read are left out."""
    if not args.feature_cache:
        return None, rows
    state, tower = PartialState(), model.model.vision_tower
    features = TowerFeatures(args.feature_cache, tower, processor)
    with in_turn(features.folder):
        problems = encode_segments(features, tower, rows, state.process_index, state.num_processes)
        problems = dict(gather_object(list(problems.items())))
    names = dict.fromkeys(row["video"] for row in rows)
    _tell([f"left out: {name}: {problems[name]}" for name in names if name in problems], output, UNSTORED)
    state.wait_for_everyone()
    stored = [row for row in rows if features.path(row["key"], row["frames"]).is_file()]
    if not stored:
        raise ValueError(f"--feature-cache {args.feature_cache}: none of the segments could be encoded; see above.")
    if len(stored) < len(rows):
        logger.warning(f"{len(rows) - len(stored)} conversations are left out, whose frames can't be read")
    return features, stored


def encode_segments(features, tower, rows: Sequence[dict], process: int = 0, num_processes: int = 1) -> dict[str, str]:
    """Encode what is not stored yet, this process's share of the segments.

    Returns:
        `dict[str, str]`: Why segments can't be read, by name.
    """
    unique = {(row["key"], *row["frames"]): row for row in rows}.values()
    return do_all(
        unique,
        lambda row: features.make(tower, row["path"], row["key"], row["frames"]),
        lambda row: row["video"],
        "features",
        "segment",
        process,
        num_processes,
    )


# ---- on disk -------------------------------------------------------------------------------------------------------


def write_rows(path: Path, rows: Iterable[dict]) -> None:
    """Keep the rows of a run, a line of JSON each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def read_rows(path: Path) -> list[dict]:
    """
    The rows that a run began with.

    Raises:
        `ValueError`: if they are not there or damaged, so that nothing tells their order.
    """
    try:
        *lines, rest = path.read_text(encoding="utf-8").split("\n")
        if rest or not lines:
            raise ValueError("cut off")
        return [json.loads(line) for line in lines]
    except (ValueError, OSError) as error:
        raise ValueError(
            f"{path} is missing or damaged: nothing tells the rows of this run and their order. Choose another "
            "--output-dir."
        ) from error


def find_again(
    rows: Iterable[dict], there: Iterable[Conversation], problems: dict[str, str]
) -> tuple[list[dict], dict[str, str]]:
    """
    The rows of a run at the places where their videos lie now.

    Args:
        rows (`Iterable[dict]`): As the run began with them.
        there (`Iterable[Conversation]`), problems (`dict[str, str]`): What [`read_conversations`] finds now.

    Returns:
        `tuple[list[dict], dict[str, str]]`: The rows in their order, those that are not found as they were; and why
        segments are not, by name.
    """
    segments = {conversation.segment.name: conversation.segment for conversation in there}
    again, missing = [], {}
    for row in rows:
        try:
            segment = segments[row["video"]]
            again.append({**row, "path": segment.path, "key": segment.key()})
        except (KeyError, OSError) as error:
            missing[row["video"]] = problems.get(row["video"]) or first_line(error)
            again.append(row)
    return again, missing
