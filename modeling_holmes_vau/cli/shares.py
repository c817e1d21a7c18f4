"""Shares of many videos, one for each machine or process: which videos are whose follows from their names alone."""

import argparse
import hashlib
import os
import re
from collections.abc import Mapping, Sequence


Share = tuple[int, int]  # the I-th, from 1 on, of N


def shard_of(text: str) -> Share:
    """A share on the command line."""
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise argparse.ArgumentTypeError(f"got {text!r}, expected I/N with I from 1 to N, as 2/8")
    return int(found[1]), int(found[2])


def whole_share(shard: Share | None, environment: Mapping[str, str]) -> Share | None:
    """
    The share of this process: of its machine's share, if `accelerate launch` or `torchrun` started several.

    Args:
        shard (`tuple[int, int]`, *optional*): Of the machine.
        environment (`Mapping[str, str]`): `RANK` and `WORLD_SIZE` tell of other processes.

    Example:

    >>> whole_share((2, 3), {"RANK": "1", "WORLD_SIZE": "4"}), whole_share(None, {})
    ((6, 12), None)
    """
    processes, rank = int(environment.get("WORLD_SIZE", 1)), int(environment.get("RANK", 0))
    if shard is None and processes == 1:
        return None
    place, number = shard or (1, 1)
    return (place - 1) * processes + rank + 1, number * processes


def local_device(environment: Mapping[str, str]) -> str | None:
    """The GPU of this process, where several of this machine were started together and there are GPUs."""
    if int(environment.get("WORLD_SIZE", 1)) == 1 or "LOCAL_RANK" not in environment:
        return None
    import torch

    count = torch.cuda.device_count()
    return f"cuda:{int(environment['LOCAL_RANK']) % count}" if count else None


def name_within(video: str, arguments: Sequence[str]) -> str:
    """What a video is called on every machine: its path below the argument that names its folder, else its name."""
    for argument in arguments:
        if os.path.isdir(argument):
            below = os.path.relpath(video, argument)
            if not below.startswith(os.pardir):
                return below.replace(os.sep, "/")
    return os.path.basename(video)


def videos_of_share(videos: Sequence[str], arguments: Sequence[str], share: Share) -> list[str]:
    """
    The videos of one share, in order.

    Each belongs to one share by a digest of its name within its folder, so that neither the place where a machine has
    the folder, nor videos that come later, nor the order of the shares move it to another.

    Args:
        videos (`Sequence[str]`): All of them.
        arguments (`Sequence[str]`): The files and folders that were named.
        share (`tuple[int, int]`): The I-th, from 1 on, of N.
    """
    place, number = share
    names = ((video, os.fsencode(name_within(video, arguments))) for video in videos)
    return [video for video, name in names if int(hashlib.sha256(name).hexdigest(), 16) % number == place - 1]
