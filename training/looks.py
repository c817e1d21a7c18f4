"""Stage 1, beside the scorer: how the training videos look, so that a checkpoint can tell others."""

import logging

import numpy as np
import torch

from hivau70k_dataset.reading import read_annotation_files
from hivau70k_dataset.videos import VideoFolder
from modeling_holmes_vau.base.progress import Progress
from modeling_holmes_vau.familiarity_holmes_vau import Familiarity
from modeling_holmes_vau.video_processing_holmes_vau import resize_frames
from modeling_holmes_vau.video_reader_holmes_vau import VideoReadError, open_video
from training.options import ScorerArguments


logger = logging.getLogger(__name__)

RANK = 64
PICTURES = 8  # of each video


def picture_statistics(model, processor, path: str, count: int = PICTURES) -> torch.Tensor:
    """The statistics of evenly spread pictures of a video, `(count, 2 * width)`, fewer of a shorter one."""
    with open_video(path, processor.video_backend) as reader:
        chosen = sorted(set(np.linspace(0, reader.num_frames - 1, count).astype(int).tolist()))
        frames = resize_frames(reader.read(chosen), processor.image_size)
    return Familiarity.statistics(model.encode_frames(frames.to(model.device))[:, 1:])


@torch.no_grad()
def learn_looks(model, processor, names: list[str], args: ScorerArguments) -> None:
    """
    Give a model the looks of training videos, evenly chosen among them.

    Args:
        model, processor: The checkpoint, which gets a [`Familiarity`] in place of any that it had.
        names (`list[str]`): The training videos, by their paths in the layout of the release.
        args ([`ScorerArguments`]): How many, and where they are.
    """
    entries = {entry.whole_path: entry for entry in read_annotation_files(args.annotations).annotations}
    folder, statistics = VideoFolder(args.videos), []
    step = max(1, len(names) // args.familiarity_videos)
    for name in Progress(names[::step][: args.familiarity_videos], "looks", unit="video"):
        found = folder.find(entries[name])
        try:
            if found is not None:
                statistics.append(picture_statistics(model, processor, found.path))
        except VideoReadError as error:
            logger.warning(f"left out: {error}")
    if len(statistics) < 2:
        raise ValueError(f"--familiarity-videos {args.familiarity_videos}: fewer than two videos can be read.")
    width = statistics[0].shape[1] // 2
    model.config.familiarity_rank = min(RANK, 2 * width)
    model.familiarity = Familiarity(width, model.config.familiarity_rank).fit(statistics).to(model.device)
    limit = float(model.familiarity.limit)
    logger.info(f"looks of {len(statistics)} videos; one is unlike them from a distance of {limit:.1f}")
