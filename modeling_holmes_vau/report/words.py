"""Facts of an analysis in words, the same in picture, page and index."""

import os
from pathlib import Path
from typing import Any

from ..base.clock import clock as format_clock
from ..judgement_holmes_vau import describe_verdict


def format_span(start_s: float, end_s: float, decimals: int = 1) -> str:
    """Two times, as in 0:04.0–0:16.8."""
    return f"{format_clock(start_s, decimals)}\u2013{format_clock(end_s, decimals)}"


def choose_decimals(analysis: dict[str, Any]) -> int:
    """Digits after the point of a second that the length of the video deserves."""
    return 2 if analysis["duration_s"] < 10 else 1 if analysis["duration_s"] < 3600 else 0


def threshold_of(analysis: dict[str, Any]) -> float:
    """The score that made an event; analyses that do not tell it are of the default."""
    return analysis["event_rule"]["threshold"] if "event_rule" in analysis else 0.5


def strongest_score(analysis: dict[str, Any]) -> float:
    """The highest score; 0 of a video that was not scored."""
    return max(analysis["scores"], default=0.0)


def name_file(analysis: dict[str, Any]) -> str:
    """The name of the video's file, without its folder."""
    return Path(analysis["video"]).name or str(analysis["video"])


def list_facts(analysis: dict[str, Any]) -> list[str]:
    """Length, rate and frames of a video, and the part of it that was analysed."""
    scored = len(analysis["scores"])
    facts = [
        format_clock(analysis["duration_s"], choose_decimals(analysis)),
        f"{analysis['fps']:.5g} fps",
        f"{count(analysis['num_frames'], 'frame')}, {scored:,} scored",
    ]
    if analysis.get("segment_s"):
        facts.append(f"analysed {format_span(*analysis['segment_s'], choose_decimals(analysis))}")
    return facts


def list_warnings(analysis: dict[str, Any]) -> list[str]:
    """What stands against an analysis: the parts of its `warning`, and an answer that its scores contradict."""
    verdict = analysis.get("verdict")
    doubt = [describe_verdict(verdict)] if verdict and verdict["agree"] is False else []
    return [*(part for part in analysis.get("warning", "").split(" | ") if part), *doubt]


def count(number: int, noun: str) -> str:
    """As in "1 frame", "1,200 frames"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def without_folders(path: str) -> str:
    """A path as a page may show it: how somebody's folders are called is told to nobody else."""
    return Path(path).name if os.path.isabs(path) else path
